-- reinstate: workers that somebody removed are members again, and claims whose jobs were failed meanwhile end.
--
-- KEYS   windlass:leases, workers; per worker as in members.lua
-- ARGV   now, instance, number of workers; per worker as in members.lua and the working record of a job that was
--        failed, or ""
-- returns 1, or 0 if the instance was buried: then nothing is written
--
-- Why this order: whether the set can be changed is asked first. The records are compared, because what was claimed since
-- is another job. They go first: as long as a worker is no member the step is taken again; a member whose job was failed
-- would run on as if nobody had failed it.

local LEASES, WORKERS = key(), key()
local instance, count = arg(), tonumber(arg())
if must('HEXISTS', LEASES, instance) == 0 then
  return 0
end
must('SCARD', WORKERS)
local list = {}
for i = 1, count do
  local worker, failed = member(), arg()
  list[i] = worker
  if failed ~= '' and may('GET', worker.working) == failed then
    must('DEL', worker.working)
  end
end
for _, worker in ipairs(list) do
  must('SET', worker.ping, ping(worker))
  enrol(must, WORKERS, worker)
end
return 1

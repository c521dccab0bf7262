-- reinstate: workers that somebody removed are members again, and claims whose jobs were failed meanwhile end.
--
-- KEYS   windlass:leases, workers; per worker as in members.lua
-- ARGV   now, instance, number of workers; per worker as in members.lua and the working record of a job that was
--        failed, or ""
-- returns 1, or 0 if the instance was buried: then nothing is written
--
-- Why this order: whether the set can be changed is asked first. The records are compared, for what was claimed since is
-- another job.

local LEASES, WORKERS = key(), key()
local instance, count = arg(), tonumber(arg())
if must('HEXISTS', LEASES, instance) == 0 then
  return 0
end
must('SCARD', WORKERS)
for _ = 1, count do
  local worker, failed = member(), arg()
  must('SET', worker.ping, ping(worker))
  enrol(must, WORKERS, worker)
  if failed ~= '' and redis.pcall('GET', worker.working) == failed then
    must('DEL', worker.working)
  end
end
return 1

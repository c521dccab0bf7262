-- reinstate: makes workers members again that another program removed, and ends their claims whose jobs it failed.
--
-- KEYS   windlass:leases, workers; per worker as in members.lua
-- ARGV   now, instance, number of workers; per worker as in members.lua and the working record of a job that was
--        failed, or ""
-- returns 1, or 0 if the instance was buried: then nothing is written
--
-- Why this order: the set's type is checked first. The records are compared, because a job that was claimed since is
-- another job. They are deleted before the membership is written: the step is repeated until the worker is a member,
-- and a member whose failed job kept its record would go on running it.

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

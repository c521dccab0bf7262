-- enqueue: nowhere -> queue, for a batch of jobs, each judged and pushed on its own, in order.
--
-- KEYS   queues; then per entry the queue's list, then what its admissions read
-- ARGV   now, number of entries; per entry: "RPUSH" or "LPUSH", queue, number of jobs, the jobs;
--        number of admissions (only entries of one job have any), the admissions as in admit.lua
-- returns per entry 0, or the number from 1 of the admission that refused it
--
-- Why this order: locks are taken and the queue is made known before the push, for whoever sees
-- the job must find both. A key of the wrong type ends the script before the entry's push.

local QUEUES = key()
local known = {}
local reply = {}
for entry = 1, tonumber(arg()) do
  local list = key()
  local push, queue, jobs = arg(), arg(), tonumber(arg())
  local from = a + 1
  a = a + jobs
  local refused = admit(tonumber(arg()))
  if refused == 0 then
    if not known[queue] then
      must('SADD', QUEUES, queue)
      known[queue] = true
    end
    must(push, list, unpack(ARGV, from, from + jobs - 1))
  end
  reply[entry] = refused
end
return reply

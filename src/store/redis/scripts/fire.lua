-- fire: nowhere -> queue, for an occurrence of a schedule.
--
-- KEYS   windlass:schedules, queues; with a job the queue's list, then what its admissions read
-- ARGV   now, schedule, its last occurrence as it was read or "", the new one, "1" with a job, its
--        queue, its bytes, number of admissions, the admissions as in admit.lua
-- returns 0 remembered (and enqueued), the number from 1 of the admission that refused the job, or
--         -1 if another was faster
--
-- Why this order: the occurrence is compared first and remembered last, so that an error leaves it
-- due; between the two nothing can fail but the push.

local SCHEDULES, QUEUES = key(), key()
local id, seen, last = arg(), arg(), arg()
if (must('HGET', SCHEDULES, id) or '') ~= seen then
  return -1
end
local refused = 0
if arg() == '1' then
  local list = key()
  local queue, raw = arg(), arg()
  must('LLEN', list)
  must('SCARD', QUEUES)
  refused = admit(tonumber(arg()))
  if refused == 0 then
    must('SADD', QUEUES, queue)
    must('RPUSH', list, raw)
  end
end
must('HSET', SCHEDULES, id, last)
return refused

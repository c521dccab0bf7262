-- retry_failed: failed -> queue.
--
-- KEYS   as places.lua; queue:<queue>; Retry's counter and last error if they follow; what the admissions read
-- ARGV   now, record, queue, raw, who the job is or "", "1" if Retry's keys follow, number of admissions, the
--        admissions as in admit.lua
-- returns 0 retried, -1 the record is not there, else the number from 1 of the admission that
--        refused it
--
-- Why this order: the record is looked up first and removed last, so that a refusal or an error leaves it where it was.
-- The right to remove it is checked before the job is pushed, because otherwise both could stand.

local LIST = key()
local record, queue, raw, identity = arg(), arg(), arg(), arg()
local counter, failure
if arg() == '1' then
  counter, failure = key(), key()
end
if not must('LPOS', FAILED, record) then
  return -1
end
must('LLEN', LIST)
must('SADD', QUEUES, queue)
may('LREM', QUEUES, 0, '')
now()
local refused, locks = admit(read_admissions())
if refused ~= 0 then
  return refused
end
push_admitted(locks, 'RPUSH', LIST, raw)
if identity ~= '' then
  remember(queue, raw, identity, seconds())
end
if counter then
  try('DEL', counter, failure)
end
must('LREM', FAILED, 1, record)
return 0

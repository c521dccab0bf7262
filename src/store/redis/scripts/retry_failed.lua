-- retry_failed: failed -> queue.
--
-- KEYS   failed, queues, queue:<queue>; what the admissions read
-- ARGV   now, record, queue, raw, number of admissions, the admissions as in admit.lua
-- returns 0 retried, -1 the record is not there, else the number from 1 of the admission that
--        refused it
--
-- Why this order: the record is looked for first and removed last, so that a refusal or an error
-- leaves it where it was.

local FAILED, QUEUES, LIST = key(), key(), key()
local record, queue, raw = arg(), arg(), arg()
if not must('LPOS', FAILED, record) then
  return -1
end
must('LLEN', LIST)
local refused = admit(tonumber(arg()))
if refused ~= 0 then
  return refused
end
must('SADD', QUEUES, queue)
must('RPUSH', LIST, raw)
must('LREM', FAILED, 1, record)
return 0

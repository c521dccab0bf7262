-- withdraw: removes the queued and delayed copies of a periodic task, and its entry, or marks that
-- as stopped.
--
-- KEYS   delayed_queue_schedule, "delayed:" (prefix, see places.lua), windlass:periodic,
--        queue:<queue>; per form timestamps:<raw>
-- ARGV   now (unused), task, queue, "1" to stop it, number of forms, the forms
-- returns the number of copies removed
--
-- Why this order: the entry goes last, so that an error on the way leaves the task known and the
-- step can be repeated.

local SCHEDULE, DELAYED, PERIODIC, LIST = key(), key(), key(), key()
local task, queue, stops = arg(), arg(), arg() == '1'
local removed = 0
for _ = 1, tonumber(arg()) do
  local stamps, raw = key(), arg()
  removed = removed + must('LREM', LIST, 0, raw) + #erase(SCHEDULE, DELAYED, stamps, raw)
end
if stops then
  local due, every = string.match(must('HGET', PERIODIC, task) or '', '^(-?%d+) (%d+) ')
  must('HSET', PERIODIC, task, (due or '0') .. ' ' .. (every or '0') .. ' 1 ' .. queue)
else
  must('HDEL', PERIODIC, task)
end
return removed

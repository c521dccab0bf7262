-- withdraw: forgets a periodic task: its entry, its queued and its delayed copies.
--
-- KEYS   delayed_queue_schedule, "delayed:" (prefix, see places.lua), windlass:periodic,
--        queue:<queue>; per form timestamps:<raw>
-- ARGV   now (unused), task, number of forms, the forms
-- returns the number of copies removed
--
-- Why this order: the entry goes last, so that an error on the way leaves the task known and the
-- step can be repeated.

local SCHEDULE, DELAYED, PERIODIC, LIST = key(), key(), key(), key()
local task = arg()
local removed = 0
for _ = 1, tonumber(arg()) do
  local stamps, raw = key(), arg()
  removed = removed + must('LREM', LIST, 0, raw) + #erase(SCHEDULE, DELAYED, stamps, raw)
end
must('HDEL', PERIODIC, task)
return removed

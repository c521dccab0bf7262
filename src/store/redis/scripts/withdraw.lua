-- withdraw: removes the queued and delayed copies of a periodic task, and its entry, or marks that
-- as stopped.
--
-- KEYS   as places.lua; queue:<queue>; per form timestamps:<raw>, Retry's counter and last error if they follow
-- ARGV   now, task, queue, "1" to stop it, number of forms, for each its bytes and "1" if Retry's keys follow
-- returns the number of copies removed
--
-- Why this order: the entry goes last, so that an error on the way leaves the task known and the
-- step can be repeated.

now()
local LIST = key()
local task, queue, stops = arg(), arg(), arg() == '1'
local removed = 0
for _ = 1, tonumber(arg()) do
  local stamps, raw = key(), arg()
  local counter, failure
  if arg() == '1' then
    counter, failure = key(), key()
  end
  local queued = must('LREM', LIST, 0, raw)
  if queued > 0 and has_entries(queue) then
    forget_queued(queue, LIST, raw, queued)
  end
  local gone = queued + #erase(stamps, raw, queue)
  if gone > 0 and counter then
    try('DEL', counter, failure)
  end
  removed = removed + gone
end
if stops then
  local due, every = string.match(must('HGET', PERIODIC, task) or '', '^(-?%d+) (%d+) ')
  must('HSET', PERIODIC, task, (due or '0') .. ' ' .. (every or '0') .. ' 1 ' .. queue)
else
  must('HDEL', PERIODIC, task)
end
return removed

-- due: a read of the earliest delayed second and, if it is due, of its first jobs.
--
-- KEYS   delayed_queue_schedule, "delayed:". The key of the second's list is derived from the
--        declared prefix, for which second is the earliest is known only here.
-- ARGV   now, limit
-- returns {now in ms, second or "", {job, ...}}
--
-- Why this order: none; nothing is written. Members that are no second (node-resque can be made
-- to write NaN) are passed over.

local SCHEDULE, DELAYED = key(), key()
local limit = tonumber(arg())
local second
for _, found in ipairs(must('ZRANGE', SCHEDULE, 0, 15)) do
  if string.find(found, '^-?%d+$') then
    second = found
    break
  end
end
if not second then
  return { whole(now()), '', {} }
end
local jobs = {}
if tonumber(second) * 1000 <= now() and limit > 0 then
  jobs = must('LRANGE', DELAYED .. second, 0, limit - 1)
end
return { whole(now()), second, jobs }

-- rename_entry: delayed -> delayed, for an entry of the schedule that names no whole second.
--
-- KEYS   as places.lua; delayed:<entry>; per job timestamps:<raw>
-- ARGV   now (unused), entry, the second for which it is due, number of jobs; per job raw
-- returns how many were moved to that second
--
-- Why this order: each job stands in its new second before it leaves the old list; the entry goes
-- when its list is gone. A list of another type is an error before anything is written.

local LIST = key()
local entry, second, count = arg(), arg(), tonumber(arg())
local standing = must('LRANGE', LIST, 0, math.max(count, 1) - 1)
local moved = 0
for i = 1, count do
  local stamps, raw = key(), arg()
  if standing[i] ~= raw or not delay(second, raw, stamps) then
    break
  end
  redis.call('LPOP', LIST)
  if not redis.call('LPOS', LIST, raw) then
    try('SREM', stamps, 'delayed:' .. entry)
  end
  moved = moved + 1
end
if redis.call('EXISTS', LIST) == 0 then
  redis.call('ZREM', SCHEDULE, entry)
end
if broken[1] and moved == 0 then
  error('CORRUPT ' .. broken[1] .. '\31the key is of another type')
end
return moved

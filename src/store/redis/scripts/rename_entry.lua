-- rename_entry: delayed -> delayed, for an entry of the schedule that names no whole second.
--
-- KEYS   as places.lua; delayed:<entry>; per job timestamps:<raw>
-- ARGV   now (unused), entry, the second for which it is due, number of jobs; per job raw
-- returns how many were moved to that second
--
-- Why this order: each job is written to its new second before it leaves the old list. The entry is removed when its
-- list is empty. A list of another type, or a missing right to remove the jobs, is an error before anything is written.

now()
local LIST = key()
local entry, second, count = arg(), arg(), tonumber(arg())
local standing = must('LRANGE', LIST, 0, math.max(count, 1) - 1)
must('LTRIM', LIST, 0, -1)
must('ZREM', SCHEDULE, '')
local moved, stamped = 0, {}
for i = 1, count do
  local stamps, raw = key(), arg()
  if standing[i] ~= raw or not delay(second, raw, stamps) then
    break
  end
  moved, stamped[i] = i, stamps
end
if moved > 0 then
  must('LTRIM', LIST, moved, -1)
end
for i = 1, moved do
  if not try('LPOS', LIST, standing[i]) then
    try('SREM', stamped[i], 'delayed:' .. entry)
  end
end
if try('EXISTS', LIST) == 0 then
  try('ZREM', SCHEDULE, entry)
end
if broken[1] and moved == 0 then
  error(broken[1])
end
return moved

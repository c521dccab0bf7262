-- delete_each: removes jobs of these bytes from a queue.
--
-- KEYS   as places.lua; as departed.lua; queue:<queue>; for each entry Retry's counter and last error if they follow, then
--        its locks
-- ARGV   now, queue, "1" to count from the tail, number of entries, for each: raw, how many at
--        most or "" for all, "1" if Retry's keys follow, number of locks
-- returns how many were removed
--
-- Why LREM for each: it is one pass through the list. The caller passes a few entries; many are removed page by page
-- (delete_page.lua).

now()
local LIST, queue = key(), arg()
local tail, count = arg() == '1', tonumber(arg())
local known = has_entries(queue)
local doomed = {}
for i = 1, count do
  local one = { raw = arg(), most = arg() }
  if arg() == '1' then
    one.counter, one.failure = key(), key()
  end
  one.locks = read_places()
  doomed[i] = one
end

local removed = 0
for _, one in ipairs(doomed) do
  if one.most ~= '0' then
    -- To LREM, 0 is all and a negative number counts from the tail.
    local most = one.most == '' and '0' or (tail and '-' or '') .. one.most
    local gone = must('LREM', LIST, most, one.raw)
    removed = removed + gone
    if known then
      forget_deleted(queue, LIST, one, gone, tail)
    end
    free_with(one, gone)
  end
end
count_deleted(queue, LIST, removed)
return removed

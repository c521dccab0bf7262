-- delete_each: removes jobs of these bytes from a queue.
--
-- KEYS   queue:<queue>
-- ARGV   now (unused), "1" to count from the tail, number of entries, for each: raw, how many at
--        most or "" for all
-- returns how many were removed
--
-- Why two ways: LREM walks the whole list for each of the bytes. For more than a few, the list is
-- turned round once instead, each job put back at the tail unless it is meant; the order stays.

local FEW = 4

local LIST = key()
local tail, entries = arg() == '1', tonumber(arg())
local length = must('LLEN', LIST)
local removed = 0
if entries <= FEW then
  for _ = 1, entries do
    local raw, most = arg(), arg()
    if most ~= '0' then
      -- To LREM, 0 is all and a negative number counts from the tail.
      local count = most == '' and '0' or (tail and '-' or '') .. most
      removed = removed + must('LREM', LIST, count, raw)
    end
  end
  return removed
end
local left, skip = {}, {}
for _ = 1, entries do
  local raw, most = arg(), arg()
  left[raw], skip[raw] = tonumber(most) or math.huge, 0
end
if tail then
  -- Those that are to stay stand nearest to the head: all but the last so many.
  for raw, most in pairs(left) do
    skip[raw] = -most
  end
  for from = 0, length - 1, CHUNK do
    for _, raw in ipairs(redis.call('LRANGE', LIST, from, from + CHUNK - 1)) do
      if skip[raw] then
        skip[raw] = skip[raw] + 1
      end
    end
  end
end
for _ = 1, length do
  local raw = redis.call('LPOP', LIST)
  local most = left[raw]
  if most and skip[raw] > 0 then
    skip[raw] = skip[raw] - 1
    most = 0
  end
  if most and most > 0 then
    left[raw] = most - 1
    removed = removed + 1
  else
    redis.call('RPUSH', LIST, raw)
  end
end
return removed

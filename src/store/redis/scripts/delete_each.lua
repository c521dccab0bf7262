-- delete_each: removes jobs of these bytes from a queue.
--
-- KEYS   as places.lua; queue:<queue>; for each entry Retry's counter and last error if they follow
-- ARGV   now, queue, "1" to count from the tail, number of entries, for each: raw, how many at
--        most or "" for all, "1" if Retry's keys follow
-- returns how many were removed
--
-- Why two ways: LREM walks the whole list for each of the bytes. For more than a few, the list is
-- turned round once instead, each job put back at the tail unless it is meant; the order stays.

local FEW = 4

local LIST, queue = key(), arg()
local tail, count = arg() == '1', tonumber(arg())
local known = has_entries(queue)
local doomed = {}
for i = 1, count do
  local one = { raw = arg(), most = arg() }
  if arg() == '1' then
    one.counter, one.failure = key(), key()
  end
  doomed[i] = one
end

-- So many jobs of these bytes are gone.
local function forget(one, gone)
  if known and gone > 0 then
    local from_tail = tail and one.most ~= ''
    if forget_queued(queue, LIST, one.raw, not from_tail and gone or nil) and one.counter then
      redis.call('DEL', one.counter, one.failure)
    end
  end
end

local length = must('LLEN', LIST)
local removed = 0
if count <= FEW then
  for _, one in ipairs(doomed) do
    if one.most ~= '0' then
      -- To LREM, 0 is all and a negative number counts from the tail.
      local most = one.most == '' and '0' or (tail and '-' or '') .. one.most
      local gone = must('LREM', LIST, most, one.raw)
      removed = removed + gone
      forget(one, gone)
    end
  end
  return removed
end
local left, skip, gone = {}, {}, {}
for _, one in ipairs(doomed) do
  left[one.raw], skip[one.raw] = tonumber(one.most) or math.huge, 0
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
    gone[raw] = (gone[raw] or 0) + 1
    removed = removed + 1
  else
    redis.call('RPUSH', LIST, raw)
  end
end
for _, one in ipairs(doomed) do
  forget(one, gone[one.raw] or 0)
end
return removed

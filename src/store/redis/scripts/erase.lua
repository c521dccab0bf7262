-- Fragment: removes the delayed copies of a job with their identities, and seconds that become empty.
--
-- The stamps, by which the copies are found, are removed after the copies.

-- How many seconds one step looks at, if the step can be repeated. Each takes one pass through its list.
local SECONDS = 250

-- The seconds to which a job may be delayed, at most so many if `most` is given; then `more` tells whether there are
-- others. Checks the type of every key that `erase` changes, so that an error ends the script before the first copy is
-- removed.
local function stamped(stamps, most)
  local found = { stamps = {} }
  must('ZREM', SCHEDULE, '')
  for _, stamp in ipairs(must('SMEMBERS', stamps)) do
    local second = string.match(stamp, '^delayed:(-?%d+)$')
    if second and #found == most then
      found.more = true
      break
    elseif second then
      must('LLEN', DELAYED .. second)
      found[#found + 1] = second
      found.stamps[#found] = stamp
    end
  end
  return found
end

-- Removes the copies from these seconds. Returns those where one was.
local function erase(stamps, raw, queue, from)
  local found, gone = {}, {}
  local known = has_entries(queue)
  for _, second in ipairs(from) do
    local list = DELAYED .. second
    local count = must('LREM', list, 0, raw)
    if count > 0 then
      found[#found + 1] = second
      gone[second] = count
    end
    if must('EXISTS', list) == 0 then
      must('ZREM', SCHEDULE, second)
    end
  end
  if from.more then
    must('SREM', stamps, unpack(from.stamps))
  else
    unlink(must, stamps)
  end
  if #found > 0 and known then
    forget_delayed(queue, raw, gone)
  end
  return found
end

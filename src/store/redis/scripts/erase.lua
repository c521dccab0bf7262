-- Fragment: removes the delayed copies of a job with their identities, and seconds that become empty.
--
-- The stamps, by which the copies are found, are removed after the copies.

-- How many seconds one step looks at, if the step can be repeated. Each takes one pass through its list.
local SECONDS = 250

-- Of stamps that other programs wrote no more are read once they have so many bytes.
local STAMP_BYTES = 1048576

-- The seconds to which a job may be delayed, as many as one step looks at; `more` tells whether there may be others. Those in `but`,
-- if it is given, are left out, and `some` tells whether there are any. What is no stamp counts as well, because it is removed with
-- them. Checks the type of every key that `erase` changes, so that an error ends the script before the first copy is removed.
local function stamped(stamps, but)
  local found = { stamps = {} }
  must('ZREM', SCHEDULE, '')
  local cursor, bytes = '0', 0
  repeat
    local page = must('SSCAN', stamps, cursor, 'COUNT', 50)
    cursor = page[1]
    for _, stamp in ipairs(page[2]) do
      local second = string.match(stamp, '^delayed:(-?%d+)$')
      if second and but and but[second] then
        found.some = true
      else
        if #found.stamps == SECONDS or bytes > STAMP_BYTES then
          found.more = true
          return found
        end
        if second then
          must('LLEN', DELAYED .. second)
          found[#found + 1] = second
        end
        found.stamps[#found.stamps + 1] = stamp
        bytes = bytes + #stamp
      end
    end
  until cursor == '0'
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
  if from.more or from.some then
    if #from.stamps > 0 then
      must('SREM', stamps, unpack(from.stamps))
    end
  else
    unlink(must, stamps)
  end
  if #found > 0 and known then
    forget_delayed(queue, raw, gone)
  end
  return found
end

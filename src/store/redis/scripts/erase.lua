-- Fragment: removes every delayed copy of a job, with who they were, and seconds left empty.
--
-- The stamps, by which the copies are found, go last of what people see.

-- The seconds at which a job may be delayed. Asks the type of every key that `erase` changes, so that an error ends the
-- script before the first copy is gone.
local function stamped(stamps)
  local found = {}
  must('ZREM', SCHEDULE, '')
  for _, stamp in ipairs(must('SMEMBERS', stamps)) do
    local second = string.match(stamp, '^delayed:(-?%d+)$')
    if second then
      must('LLEN', DELAYED .. second)
      found[#found + 1] = second
    end
  end
  return found
end

-- Removes the copies from these seconds. Returns those where one was.
local function erase(stamps, raw, queue, from)
  local found, gone = {}, {}
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
  must('DEL', stamps)
  if #found > 0 and has_entries(queue) then
    forget_delayed(queue, raw, gone)
  end
  return found
end

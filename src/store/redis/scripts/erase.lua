-- Fragment: removes every delayed copy of a job, with who they were, and seconds left empty. Returns the seconds.
--
-- The stamps, by which the copies are found, go last of what people see.

local function erase(stamps, raw, queue)
  local found, gone = {}, {}
  must('ZREM', SCHEDULE, '')
  for _, stamp in ipairs(must('SMEMBERS', stamps)) do
    local second = string.match(stamp, '^delayed:(-?%d+)$')
    if second then
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
  end
  must('DEL', stamps)
  if #found > 0 and has_entries(queue) then
    forget_delayed(queue, raw, gone)
  end
  return found
end

-- Fragment: removes every delayed copy of a job, with who they were, and seconds left empty. Returns the seconds.

local function erase(stamps, raw, queue)
  local found, gone = {}, {}
  for _, stamp in ipairs(must('SMEMBERS', stamps)) do
    local second = string.match(stamp, '^delayed:(-?%d+)$')
    if second then
      local list = DELAYED .. second
      local count = must('LREM', list, 0, raw)
      if count > 0 then
        found[#found + 1] = second
        gone[second] = count
      end
      if redis.call('EXISTS', list) == 0 then
        must('ZREM', SCHEDULE, second)
      end
    end
  end
  redis.call('DEL', stamps)
  if #found > 0 and has_entries(queue) then
    forget_delayed(queue, raw, gone)
  end
  return found
end

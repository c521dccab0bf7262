-- Fragment: removes every delayed copy of a job, and seconds left empty. Returns the seconds.

local function erase(schedule, delayed, stamps, raw)
  local found = {}
  for _, stamp in ipairs(must('SMEMBERS', stamps)) do
    local second = string.match(stamp, '^delayed:(-?%d+)$')
    if second then
      local list = delayed .. second
      if must('LREM', list, 0, raw) > 0 then
        found[#found + 1] = second
      end
      if redis.call('EXISTS', list) == 0 then
        must('ZREM', schedule, second)
      end
    end
  end
  redis.call('DEL', stamps)
  return found
end

-- Fragment: removes the first jobs of a delayed second, after they were written elsewhere.

-- Removes the first `count` jobs from the second's list. Timestamps go with them, by their original bytes, unless an
-- equal job is left in the list; the second is forgotten only when its list is gone. `call` is how that is done: `must`
-- where the whole step can be repeated after an error, else `try`.
local function trim_second(call, schedule, second, list, twins, standing, stamped, count)
  if count > 0 then
    must('LTRIM', list, count, -1)
    local has_twins = try('EXISTS', twins) == 1
    for i = 1, count do
      local twin = has_twins and try('SISMEMBER', twins, standing[i]) == 1
      if not twin or not try('LPOS', list, standing[i]) then
        try('SREM', stamped[i], 'delayed:' .. second)
      end
    end
  end
  if call('EXISTS', list) == 0 then
    call('ZREM', schedule, second)
    unlink(call, twins)
  end
end

-- Fragment: a job goes to a delayed second, and who it is is kept until it is claimed again (recall.lua).

-- Puts a job's bytes to a delayed second. The schedule comes first: a second without a list is
-- tidied by promotion, a list without its second would never be found. Nil if it could not.
local function delay(second, raw, stamps)
  if not try('ZADD', SCHEDULE, second, second) or not try('RPUSH', DELAYED .. second, raw) then
    return nil
  end
  -- Equal jobs share one stamp, so promotion must know that it may not go with the first of them.
  if try('SADD', stamps, 'delayed:' .. second) == 0 then
    try('SADD', TWINS .. second, raw)
    try('EXPIREAT', TWINS .. second, whole(tonumber(second) + KEPT))
  end
  return true
end

-- Keeps who a job is.
local function remember(queue, raw, identity, due)
  local field = queue .. '\n' .. raw
  local lines = {}
  local old = try('HGET', IDENTITY, field)
  if old then
    for line in string.gmatch(old, '[^\n]+') do
      if tonumber(string.match(line, ' (%d+)$') or 0) > seconds() then
        lines[#lines + 1] = line
      end
    end
  end
  lines[#lines + 1] = identity .. ' ' .. whole(due + KEPT)
  try('HSET', IDENTITY, field, table.concat(lines, '\n'))
end

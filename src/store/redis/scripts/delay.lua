-- Fragment: a job goes to a delayed second.

-- Puts a job's bytes to a delayed second. The schedule comes first: a second without a list is
-- tidied by promotion, a list without its second would never be found. Nil if it could not; then nothing is written.
local function delay(second, raw, stamps)
  local added = try('ZADD', SCHEDULE, second, second)
  if not added then
    return nil
  end
  if not try('RPUSH', DELAYED .. second, raw) then
    if added == 1 then
      try('ZREM', SCHEDULE, second)
    end
    return nil
  end
  -- Equal jobs share one stamp, so promotion must know that it may not go with the first of them.
  if try('SADD', stamps, 'delayed:' .. second) == 0 then
    try('SADD', TWINS .. second, raw)
    try('EXPIREAT', TWINS .. second, whole(tonumber(second) + KEPT))
  end
  return true
end

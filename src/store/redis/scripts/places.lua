-- Fragment: the keys that every script reads first which ends claims.
--
-- KEYS  delayed_queue_schedule, "delayed:" (see below), windlass:identity, windlass:periodic,
--       queues, failed, stat:processed, stat:failed, "windlass:twins:"
--
-- "delayed:" and "windlass:twins:" are only prefixes. Which second a job is delayed to depends on
-- the store's own time, so these keys are known only here: the prefix followed by the second. On
-- a Cluster the namespace is a hash tag, hence all keys stand in one slot anyway.

local SCHEDULE, DELAYED, IDENTITY, PERIODIC = key(), key(), key(), key()
local QUEUES, FAILED, PROCESSED_STAT, FAILED_STAT = key(), key(), key(), key()
local TWINS = key()

-- How long, in seconds past due, what is kept beside a delayed job is kept at most.
local KEPT = 2592000

-- The due second of a task that halted (effect.rs, HALTED_S).
local HALTED = '253402300799'

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

-- Who a job is, kept under its queue and bytes until it is claimed again: one line for each equal
-- job, `<id> <attempt> <redelivered> <later> <expiry>`. Entries expire 30 days after the job was
-- due, so that the entry of a job that another program took does not stick to a later one.

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

-- Takes the oldest entry of a job; nil if there is none.
local function recall(queue, raw)
  local field = queue .. '\n' .. raw
  local old = try('HGET', IDENTITY, field)
  if not old then
    return nil
  end
  local found
  local rest = {}
  for line in string.gmatch(old, '[^\n]+') do
    local identity, expiry = string.match(line, '^(%S+ %d+ %d+ %d+) (%d+)$')
    if identity and tonumber(expiry) > seconds() then
      if found then
        rest[#rest + 1] = line
      else
        found = identity
      end
    end
  end
  if #rest == 0 then
    try('HDEL', IDENTITY, field)
  else
    try('HSET', IDENTITY, field, table.concat(rest, '\n'))
  end
  return found
end

-- set_aside: takes waiting things out for a move to another store.
--
-- KEYS   as places.lua; windlass:outbox, windlass:moving, windlass:schedules; then by kind:
--        "Q" queue:<queue>   "D" delayed:<second>, windlass:twins:<second>, per job timestamps:<raw>
-- ARGV   now, an id for a store that has none, kind; then by kind:
--        "Q" queue, limit    "D" second, number of jobs, per job queue and raw    "F" limit
--        "P" (periodic entries and schedules), "S" (counters), "" only what is set aside already: nothing
-- returns {id, number, {kind, name, identity, bytes, ...}}, or nothing if there is nothing
--
-- Why this order: what is set aside already comes first, for it must not grow or be overtaken. Each
-- thing is in the outbox before it leaves its place. Delayed jobs are moved only while they stand
-- where the caller saw them.

local OUTBOX, MOVING, SCHEDULES = key(), key(), key()
local fresh, kind = arg(), arg()

local function batch()
  return { must('HGET', MOVING, 'id'), must('HGET', MOVING, 'number'), must('LRANGE', OUTBOX, 0, -1) }
end

if must('LLEN', OUTBOX) > 0 then
  return batch()
end

local function put(what, name, identity, bytes)
  must('RPUSH', OUTBOX, what, name, identity, bytes)
end

local count = 0
if kind == 'Q' then
  local LIST = key()
  local queue, limit = arg(), tonumber(arg())
  for _, raw in ipairs(must('LRANGE', LIST, 0, limit - 1)) do
    put('Q', queue, recall(queue, raw) or '', raw)
    count = count + 1
  end
  if count > 0 then
    must('LTRIM', LIST, count, -1)
  end
elseif kind == 'D' then
  local LIST, HERE = key(), key()
  local second, jobs = arg(), tonumber(arg())
  local standing = must('LRANGE', LIST, 0, jobs - 1)
  local stamped = {}
  for i = 1, jobs do
    local stamps, queue, raw = key(), arg(), arg()
    if standing[i] ~= raw then
      break
    end
    put('D', second, recall(queue, raw, tonumber(second)) or '', raw)
    stamped[i] = stamps
    count = i
  end
  if count > 0 then
    must('LTRIM', LIST, count, -1)
    local twins = redis.call('EXISTS', HERE) == 1
    for i = 1, count do
      local twin = twins and redis.call('SISMEMBER', HERE, standing[i]) == 1
      if not twin or not redis.call('LPOS', LIST, standing[i]) then
        try('SREM', stamped[i], 'delayed:' .. second)
      end
    end
  end
  if redis.call('EXISTS', LIST) == 0 then
    must('ZREM', SCHEDULE, second)
    redis.call('DEL', HERE)
  end
elseif kind == 'F' then
  local limit = tonumber(arg())
  for _, record in ipairs(must('LRANGE', FAILED, 0, limit - 1)) do
    put('F', '', '', record)
    count = count + 1
  end
  if count > 0 then
    must('LTRIM', FAILED, count, -1)
  end
elseif kind == 'P' then
  local entries = must('HGETALL', PERIODIC)
  for i = 1, #entries, 2 do
    put('P', entries[i], '', entries[i + 1])
    count = count + 1
  end
  local fired = must('HGETALL', SCHEDULES)
  for i = 1, #fired, 2 do
    put('C', fired[i], '', fired[i + 1])
    count = count + 1
  end
  redis.call('DEL', PERIODIC, SCHEDULES)
elseif kind == 'S' then
  local processed = tonumber(must('GET', PROCESSED_STAT) or 0) or 0
  local failures = tonumber(must('GET', FAILED_STAT) or 0) or 0
  if processed > 0 or failures > 0 then
    put('S', whole(processed), '', whole(failures))
    count = 1
  end
  redis.call('DEL', PROCESSED_STAT, FAILED_STAT)
end
if count == 0 then
  return nil
end
must('HSETNX', MOVING, 'id', fresh)
must('HINCRBY', MOVING, 'number', 1)
return batch()

-- set_aside: moves what waits to the outbox, for a move to another store.
--
-- KEYS   as places.lua; windlass:outbox, windlass:moving, windlass:schedules,
--        windlass:nothing; then by kind:
--        "Q" queue:<queue>   "D" delayed:<second>, windlass:twins:<second>, per job timestamps:<raw>
-- ARGV   now, an id for a store that has none, the batch's token, target and address (aside.lua), kind; then by kind:
--        "Q" queue, limit    "D" second, number of jobs, per job queue and raw    "F" limit
--        "P" (periodic entries and schedules), "S" (counters), "" only what is set aside already: nothing
-- returns {id, number, {kind, name, identity, bytes, ...}, batch (aside.lua)}, or nothing if there is nothing
--
-- Why this order: a batch that is set aside already is returned first, because it must neither grow nor be overtaken.
-- Each item is written to the outbox before it leaves its place. The right to remove it from its place is checked
-- before that, because otherwise it could stand in both. Delayed jobs are moved only if they still stand where the
-- caller saw them.

now()
local OUTBOX, MOVING, SCHEDULES, NOTHING = key(), key(), key(), key()
local fresh, token, kind = arg(), arg(), arg()

local function batch()
  local id, number = must('HGET', MOVING, 'id'), must('HGET', MOVING, 'number')
  return { id, number, must('LRANGE', OUTBOX, 0, -1), must('HGET', MOVING, 'batch') }
end

if must('LLEN', OUTBOX) > 0 then
  return batch()
end

-- The batch has its number before the first thing is in it; a number without a batch is passed over.
local function begin()
  must('HSETNX', MOVING, 'id', fresh)
  local number = must('HINCRBY', MOVING, 'number', 1)
  must('HSET', MOVING, 'batch', whole(number) .. ' ' .. token)
  may('RPUSH', MOVING, '')
  may('SREM', MOVING, '')
  must('DEL', NOTHING)
end

local function put(what, name, identity, bytes)
  must('RPUSH', OUTBOX, what, name, identity, bytes)
end

-- Sets the first members of a list aside, as far as one step holds them. Returns how many.
local function put_first(list, limit, what, queue)
  local members = read_page(list, 0, limit)
  if #members > 0 then
    must('LTRIM', list, 0, -1)
    begin()
    for _, raw in ipairs(members) do
      put(what, queue or '', queue and recall(queue, raw) or '', raw)
    end
    must('LTRIM', list, #members, -1)
  end
  return #members
end

local count = 0
if kind == 'Q' then
  local list = key()
  local queue, limit = arg(), tonumber(arg())
  count = put_first(list, limit, 'Q', queue)
elseif kind == 'D' then
  local LIST, HERE = key(), key()
  local second, jobs = arg(), tonumber(arg())
  local standing = read_page(LIST, 0, jobs)
  must('ZREM', SCHEDULE, '')
  if #standing > 0 then
    must('LTRIM', LIST, 0, -1)
    begin()
  end
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
  trim_second(must, SCHEDULE, second, LIST, HERE, standing, stamped, count)
elseif kind == 'F' then
  count = put_first(FAILED, tonumber(arg()), 'F')
elseif kind == 'P' then
  local entries, fired = must('HGETALL', PERIODIC), must('HGETALL', SCHEDULES)
  if #entries + #fired > 0 then
    begin()
  end
  for i = 1, #entries, 2 do
    put('P', entries[i], '', entries[i + 1])
    count = count + 1
  end
  for i = 1, #fired, 2 do
    put('C', fired[i], '', fired[i + 1])
    count = count + 1
  end
  unlink(must, PERIODIC, SCHEDULES)
elseif kind == 'S' then
  local processed = tonumber(must('GET', PROCESSED_STAT) or 0) or 0
  local failures = tonumber(must('GET', FAILED_STAT) or 0) or 0
  if processed > 0 or failures > 0 then
    begin()
    put('S', whole(processed), '', whole(failures))
    count = 1
  end
  must('DEL', PROCESSED_STAT, FAILED_STAT)
end
if count == 0 then
  return nil
end
return batch()

-- set_aside: moves what waits to the outbox, for a move to another store.
--
-- KEYS   as places.lua; as departed.lua; windlass:outbox, windlass:moving, windlass:schedules,
--        windlass:nothing, windlass:birth; then by kind:
--        "Q" per queue queue:<queue>   "D" delayed:<second>, windlass:twins:<second>, per job timestamps:<raw>
-- ARGV   now, an id for a store that has none, the batch's token, target and address (aside.lua), kind; then by kind:
--        "Q" limit, number of queues, per queue its name    "D" second, number of jobs, per job queue and raw    "F" limit
--        "P" number of entries; per entry "P" (of a periodic task) or "C" (the last occurrence of a schedule), name, bytes
--        "S" (counters), "" only what is set aside already: nothing
-- returns {id, number, {kind, name, identity, bytes, ...}, batch (aside.lua)}, or nothing if there is nothing; if that is long
--         in place of the list how many members the outbox has, from which it is read then; in place of the
--         identity stands for an entry of a stopped task for which second it ran last, if that is known
--
-- Why this order: a batch that is set aside already is returned first, because it must neither grow nor be overtaken.
-- Each item is written to the outbox before it leaves its place. The right to remove it from its place is checked
-- before that, because otherwise it could stand in both. Delayed jobs and entries are moved only if they still stand
-- as the caller saw them. What cannot be read is not set aside, because then nothing behind it could be moved.
-- Of several queues each is emptied before the next is looked at, so that an error leaves a batch that is good.

now()
local OUTBOX, MOVING, SCHEDULES, NOTHING, BIRTH = key(), key(), key(), key(), key()
local fresh, token, kind = arg(), arg(), arg()

-- The outbox holds one batch, which one step put there: it is bounded as that was.
local TOLD = 262144
local function batch()
  local id, number = must('HGET', MOVING, 'id'), must('HGET', MOVING, 'number')
  local members, bytes = must('LRANGE', OUTBOX, 0, -1), 0
  for _, member in ipairs(members) do
    bytes = bytes + #member
  end
  return { id, number, bytes <= TOLD and members or #members, must('HGET', MOVING, 'batch') }
end

if must('LLEN', OUTBOX) > 0 then
  return batch()
end

-- The batch has its number before the first thing is in it; a number without a batch is passed over.
local begun = false
local function begin()
  if begun then
    return
  end
  begun = true
  -- The birth mark is older: a store that falls back to a snapshot from before its first move has the same name again.
  local born = redis.pcall('GET', BIRTH)
  must('HSETNX', MOVING, 'id', type(born) == 'string' and string.match(born, '^[%w-]+$') or fresh)
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
  local limit, queues = tonumber(arg()), tonumber(arg())
  for _ = 1, queues do
    local list, queue = key(), arg()
    if count < limit then
      local first = put_first(list, limit - count, 'Q', queue)
      if first > 0 then
        count_departed(redis.pcall, queue, first)
      end
      count = count + first
    end
  end
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
  local places, standing = { P = PERIODIC, C = SCHEDULES }, {}
  for _ = 1, tonumber(arg()) do
    local what, name, bytes = arg(), arg(), arg()
    if must('HGET', places[what], name) == bytes then
      must('HDEL', places[what], '')
      count = count + 1
      standing[count] = { what, name, bytes }
    end
  end
  if count > 0 then
    begin()
  end
  for _, entry in ipairs(standing) do
    local what, name, bytes = unpack(entry)
    local ran = what == 'P' and is_stopped(bytes) and ran_before_stop(name)
    put(what, name, ran and whole(ran) or '', bytes)
    if ran then
      keep_ran(name, nil)
    end
    must('HDEL', places[what], name)
  end
elseif kind == 'S' then
  -- One that is no number stays where it is.
  local function counted(place)
    local value = redis.pcall('GET', place)
    return type(value) == 'string' and string.match(value, '^%d+$') and #value <= 15 and tonumber(value) or 0
  end
  local processed, failures = counted(PROCESSED_STAT), counted(FAILED_STAT)
  if processed > 0 or failures > 0 then
    begin()
    put('S', whole(processed), '', whole(failures))
    count = 1
    if processed > 0 then
      must('DEL', PROCESSED_STAT)
    end
    if failures > 0 then
      must('DEL', FAILED_STAT)
    end
  end
end
if count == 0 then
  return nil
end
return batch()

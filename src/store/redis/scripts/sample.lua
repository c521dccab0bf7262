-- sample: what queues hold and what left them, at one moment.
--
-- KEYS   as departed.lua; queues, workers, windlass:watched, stat:processed, stat:failed, failed, delayed_queue_schedule,
--        windlass:paused, pause-all-workers, windlass:instances, resque_scheduler_leader_lock; the list of each queue
-- ARGV   now, "1" with the numbers of the store, "1" if all was quiet and then processed and failed as they were, number
--        of queues; per queue its name, "1" with a digest of its first job
-- returns {now in ms, known queues, workers, watched, processed, failed, {numbers}, {length, departed, unsure, digest, ...}};
--         the last is left out if all is still quiet, and then workers is -1. What cannot be read is false.
--
-- Nothing is written, and nothing that stands in place of another ends the step: every call is a `pcall`.

local QUEUES, WORKERS, WATCHED, PROCESSED, FAILURES = key(), key(), key(), key(), key()
local FAILED, SCHEDULE, PAUSED, PAUSE_ALL, INSTANCES, LEADER = key(), key(), key(), key(), key(), key()
local totals, quiet = arg() == '1', arg() == '1'
local before = quiet and { arg(), arg() }
local count = tonumber(arg())

-- How much of a job is read for its digest.
local HEAD = 8192

local function read(command, ...)
  local reply = redis.pcall(command, ...)
  if type(reply) == 'table' and reply.err then
    return false
  end
  return reply
end

-- Anybody may pause any number of queues. Of very many these are told, some at a time.
local PAUSES = 10000

local function paused()
  if (read('SCARD', PAUSED) or 0) <= 1000 then
    return read('SMEMBERS', PAUSED) or {}
  end
  local found, cursor = {}, '0'
  repeat
    local page = read('SSCAN', PAUSED, cursor, 'COUNT', 1000) or { '0', {} }
    cursor = page[1]
    for _, name in ipairs(page[2]) do
      found[#found + 1] = name
    end
  until cursor == '0' or #found >= PAUSES
  return found
end

local first = read('MGET', WATCHED, PROCESSED, FAILURES) or { false, false, false }
local processed, failures = first[2] or '0', first[3] or '0'
local lists, names, wants = {}, {}, {}
for i = 1, count do
  lists[i], names[i] = key(), arg()
  wants[i] = arg() == '1' and lists[i]
end
local reply = { whole(now()), read('SCARD', QUEUES), -1, first[1] and 1 or 0, processed, failures, {} }
quiet = not totals and before and not first[1] and before[1] == processed and before[2] == failures
-- There are no empty lists, so that one command tells of all queues that they hold nothing.
if quiet and (count == 0 or read('EXISTS', unpack(lists)) == 0) then
  return reply
end
local lengths, holds = {}, false
for i = 1, count do
  lengths[i] = read('LLEN', lists[i]) or 0
  holds = holds or lengths[i] > 0
end
if quiet and not holds then
  return reply
end
reply[3] = read('SCARD', WORKERS) or 0
if totals then
  local switch = read('GET', PAUSE_ALL)
  local next_second = read('ZRANGE', SCHEDULE, 0, 0)
  local memory, stats = read('INFO', 'memory') or '', read('INFO', 'stats') or ''
  reply[7] = {
    read('LLEN', FAILED), read('ZCARD', SCHEDULE), next_second and next_second[1] or false,
    switch and string.sub(switch, 1, 99), read('HLEN', INSTANCES), read('GET', LEADER), read('HLEN', DEPARTED),
    string.match(memory, 'used_memory:(%d+)') or false, string.match(memory, 'maxmemory:(%d+)') or false,
    string.match(stats, 'evicted_keys:(%d+)') or false,
    paused(),
  }
end

local departed = count > 0 and read('HMGET', DEPARTED, unpack(names)) or {}
local unsure = holds and read('HMGET', UNSURE, unpack(names)) or {}
local states = {}
for i = 1, count do
  local digest = false
  if wants[i] and lengths[i] > 0 then
    local head = read('LRANGE', wants[i], 0, 0)
    digest = head and head[1] and redis.sha1hex(#head[1] .. ' ' .. string.sub(head[1], 1, HEAD)) or false
  end
  states[4 * i - 3], states[4 * i - 2] = lengths[i], departed[i] or false
  states[4 * i - 1], states[4 * i] = unsure[i] or false, digest
end
reply[8] = states
return reply

-- Shared by every script: the time, the two cursors, and calls that name the key they failed on.
--
-- ARGV[1]  the time in milliseconds since the Unix epoch; empty for the store's own
--
-- `key` and `arg` read KEYS and ARGV in order. Everything is handed over in the order in which it
-- is read, so that no script counts positions.

local k, a = 0, 1

local function key()
  k = k + 1
  return KEYS[k]
end

local function arg()
  a = a + 1
  return ARGV[a]
end

local clock
local function now()
  if not clock then
    if ARGV[1] ~= '' then
      clock = tonumber(ARGV[1])
    else
      local time = redis.call('TIME')
      clock = time[1] * 1000 + math.floor(time[2] / 1000)
    end
  end
  return clock
end

local function seconds()
  return math.floor(now() / 1000)
end

-- Lua would write large numbers with an exponent.
local function whole(number)
  return string.format('%.0f', number)
end

-- A call that must succeed: a key of the wrong type ends the script and is named in the error.
local function must(command, place, ...)
  local reply = redis.pcall(command, place, ...)
  if type(reply) == 'table' and reply.err then
    if string.find(reply.err, 'WRONGTYPE', 1, true) or string.find(reply.err, 'not an integer', 1, true) then
      error('CORRUPT ' .. place .. '\31' .. reply.err)
    end
    error(reply.err)
  end
  return reply
end

-- A call that may fail on a key of the wrong type without stopping a script that has already
-- written: the keys are collected, the reply of such a call is nil.
local broken = {}
local function try(command, place, ...)
  local reply = redis.pcall(command, place, ...)
  if type(reply) == 'table' and reply.err then
    broken[#broken + 1] = place
    return nil
  end
  return reply
end

-- Redis' Lua hands at most some thousand values to one call.
local CHUNK = 1000
local function chunked(command, list, count)
  local reply = {}
  for from = 1, count, CHUNK do
    local to = math.min(from + CHUNK - 1, count)
    local part = redis.call(command, unpack(list, from, to))
    if type(part) == 'table' and part.ok == nil then
      for i = 1, to - from + 1 do
        reply[from + i - 1] = part[i]
      end
    end
  end
  return reply
end

-- Shared by every script: the time, the two cursors, and calls that name the key they failed on.
--
-- ARGV[1]  the time in milliseconds since the Unix epoch; empty for the store's own
--
-- `key` and `arg` read KEYS and ARGV in order. The caller passes both in the order in which the script reads them, so
-- that no script counts positions.

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
      local time = redis.pcall('TIME')
      if time.err then
        error('REFUSED -\31TIME\31' .. time.err)
      end
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

-- Adds to the server's error the key or the command that it is about, because the server names neither: a key of
-- another type, a command or key that this user has no right to, a command that the server does not have.
local function named(command, place, message)
  local function has(words)
    return string.find(message, words, 1, true)
  end
  if has('WRONGTYPE') or has('not an integer') or has('would overflow') then
    -- Without the right to TYPE the type is not told.
    local found = redis.pcall('TYPE', place)
    return 'CORRUPT ' .. place .. '\31' .. command .. ' ' .. (found.ok or '') .. '\31' .. message
  elseif has('NOPERM') or has("can't run") or has("can't access") or has(' permissions ') or has('nknown ') then
    return 'REFUSED ' .. place .. '\31' .. command .. '\31' .. message
  end
  return message
end

-- A full server (maxmemory is reached and nothing may be evicted) refuses the first write of a script if that may take
-- memory; it refuses no write after another one. Scripts that bring jobs into the store set this, so that they are
-- refused. All others go on, because with them jobs end and memory becomes free.
local needs_room = false

-- The reply to a call that was refused because the server is full: it is made again after a write that takes no memory.
local function despite_full(reply, command, place, ...)
  if needs_room or not string.find(reply.err, 'OOM ', 1, true) then
    return reply
  end
  redis.pcall('HDEL', place, '')
  return redis.pcall(command, place, ...)
end

-- A call that must succeed: its error ends the script. What the script wrote before stays written. So every call that
-- can fail after a job left its place is a `try`, or `may` asked about it before.
local function must(command, place, ...)
  local reply = redis.pcall(command, place, ...)
  if type(reply) == 'table' and reply.err then
    reply = despite_full(reply, command, place, ...)
    if type(reply) == 'table' and reply.err then
      error(named(command, place, reply.err))
    end
  end
  return reply
end

-- A call that may fail without stopping a script that has already written: the errors are collected, the reply of such
-- a call is nil.
local broken = {}
local function try(command, place, ...)
  local reply = redis.pcall(command, place, ...)
  if type(reply) == 'table' and reply.err then
    reply = despite_full(reply, command, place, ...)
    if type(reply) == 'table' and reply.err then
      broken[#broken + 1] = named(command, place, reply.err)
      return nil
    end
  end
  return reply
end

-- Removes keys. A user without the right to DEL has other ways. False if none of them works.
local function remove(...)
  if try('DEL', ...) or try('UNLINK', ...) then
    return true
  end
  local removed = true
  for _, place in ipairs({ ... }) do
    removed = (try('EXPIREAT', place, 1) or try('SET', place, '', 'PX', 1)) ~= nil and removed
  end
  return removed
end

-- The same for locks. A task's file may call any key a lock, and one that is no string is something else: it stays.
local function remove_locks(...)
  local locks = {}
  for _, place in ipairs({ ... }) do
    local value = redis.pcall('GET', place)
    if type(value) ~= 'table' or not string.find(value.err, 'WRONGTYPE', 1, true) then
      locks[#locks + 1] = place
    end
  end
  return #locks == 0 or remove(unpack(locks))
end

-- Can the time be read? For scripts that an error must not end.
local function can_tell_time()
  local told, message = pcall(now)
  if not told then
    broken[#broken + 1] = message
  end
  return told
end

-- Ends the script if this user may not call the command. The caller passes a key of another type or one that does not
-- exist, so that the call changes nothing. Returns the reply, which may be an error of another kind.
local function may(command, place, ...)
  local reply = redis.pcall(command, place, ...)
  if type(reply) == 'table' and reply.err then
    local message = named(command, place, reply.err)
    if string.find(message, '^REFUSED') then
      error(message)
    end
  end
  return reply
end

-- Redis' Lua hands at most some thousand values to one call.
local CHUNK = 1000
local function in_chunks(call, command, list, count)
  local reply = {}
  for from = 1, count, CHUNK do
    local to = math.min(from + CHUNK - 1, count)
    local part = call(command, unpack(list, from, to))
    if not part then
      return nil
    end
    if type(part) == 'table' and part.ok == nil then
      for i = 1, to - from + 1 do
        reply[from + i - 1] = part[i]
      end
    end
  end
  return reply
end

local function chunked(command, list, count)
  return in_chunks(must, command, list, count)
end

local function try_chunked(command, list, count)
  return in_chunks(try, command, list, count)
end

-- Fragment: takes and frees locks.

-- May QueueLock be taken? It may if it does not exist or its second has passed. A value that is no number was written
-- by another program and is held until the key expires.
local function is_free(place)
  local value = must('GET', place)
  if not value then
    return true
  end
  local second = string.match(value, '^[+-]?%d+$')
  return second ~= nil and seconds() > tonumber(second)
end

-- Nil if that failed.
local function take(place, ttl)
  return try('SET', place, whole(seconds() + ttl + 1), 'EX', whole(math.max(ttl, 1)))
end

-- Takes QueueLock for a job that goes to its queue anyway, if it is free. A key of another type refuses no job.
local function take_if_free(place, ttl)
  local value = redis.pcall('GET', place)
  if not value or (type(value) == 'string' and is_free(place)) then
    take(place, ttl)
  end
end

-- JobLock's value. node-resque does not read it.
local function owned_until(ttl, token)
  return whole(seconds() + ttl) .. ':' .. token
end

-- Does this lock carry this claim's token?
local function carries(value, token)
  return type(value) == 'string' and token ~= '' and string.sub(value, -#token - 1) == ':' .. token
end

-- What a lock holds; nil if it is of another type, false if it does not exist. The second result is whether that is
-- known. Without the right to GET it is read by MGET.
local function value_of(place)
  local value = redis.pcall('GET', place)
  if type(value) ~= 'table' then
    return value, true
  end
  local message = named('GET', place, value.err)
  if not string.find(message, '^REFUSED') then
    return nil, true
  end
  broken[#broken + 1] = message
  local values = try('MGET', place)
  return values and values[1], values ~= nil
end

-- Was the last call that failed refused to this user? Else the key is of another type.
local function was_refused()
  return string.find(broken[#broken], '^REFUSED') ~= nil
end

-- A JobLock has a shadow, `<second of its end> <claim> <key of the claim's working record>`. The lock is a key that
-- expires, as node-resque expects, so that it lapses when the server's clock is set forward. The shadow outlives that
-- and is deleted with the lock; one that is left over expires in the end.
local SHADOW_S = 90 * 86400

local function shadow_of(ttl, token, record)
  return whole(seconds() + ttl) .. ' ' .. token .. ' ' .. record
end

local function read_shadow(value)
  if type(value) == 'string' then
    return string.match(value, '^(%d+) (%S+) (.+)$')
  end
end

-- Is a lock that does not exist still held by another claim? It is if it lapsed while the record of that claim stands. A
-- lock that is gone before its end was deleted on purpose.
local function outlives(shadow, token)
  local ends, owner, record = read_shadow(shadow)
  if not ends or owner == token or seconds() < tonumber(ends) then
    return false
  end
  local standing, head = redis.pcall('GET', record), '{"claim":"' .. owner .. '"'
  return type(standing) == 'string' and string.sub(standing, 1, #head) == head
end

-- Frees a lock if it is this claim's. False if it may still be held.
local function free(place, shadow, token)
  local value, known = value_of(place)
  if not known then
    return false
  elseif carries(value, token) then
    return remove(place, shadow)
  end
  local _, owner = read_shadow(redis.pcall('GET', shadow))
  if owner == token then
    try('DEL', shadow)
  end
  return true
end

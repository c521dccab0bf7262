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

-- JobLock's value. node-resque does not read it.
local function owned_until(ttl, token)
  return whole(seconds() + ttl) .. ':' .. token
end

-- Does this lock carry this claim's token?
local function carries(value, token)
  return type(value) == 'string' and token ~= '' and string.sub(value, -#token - 1) == ':' .. token
end

local function free(place, token)
  if carries(redis.pcall('GET', place), token) then
    try('DEL', place)
  end
end

-- Fragment: how locks are judged, taken and freed.

-- The second at which a lock ends; nil for a value that is no number. JobLock's `<sec>:<token>`
-- reads as its second, as JavaScript's parseInt reads it.
local function ends(value)
  return tonumber(string.match(value, '^%s*([+-]?%d+)'))
end

-- May QueueLock be taken? It may if it is not there or its second has passed.
local function is_free(place)
  local value = must('GET', place)
  if not value then
    return true
  end
  local second = ends(value)
  return second ~= nil and seconds() > second
end

local function take(place, ttl)
  redis.call('SET', place, whole(seconds() + ttl + 1), 'EX', whole(math.max(ttl, 1)))
end

-- Does this lock carry this claim's token?
local function carries(value, token)
  return type(value) == 'string' and token ~= '' and string.sub(value, -#token - 1) == ':' .. token
end

local function free(place, token)
  if carries(redis.pcall('GET', place), token) then
    redis.call('DEL', place)
  end
end

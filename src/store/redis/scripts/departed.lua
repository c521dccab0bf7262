-- Fragment: how many jobs left their queues.
--
-- KEYS   windlass:departed
--
-- DEPARTED is a hash, queue -> how many jobs left it, less those that were given back to its head. With the queue's length
-- that makes how many ever arrived, by which the age of its jobs is known (src/curve). Jobs that were put before others
-- count as arrived. A second hash, whose key is the declared one followed by ":unsure", tells up to which arrival jobs
-- may have left or come back out of their order.
--
-- Nothing here ends a step or keeps a job from its place: where the hash cannot be written, less is known.

local DEPARTED = key()
local UNSURE = DEPARTED .. ':unsure'

-- Jobs left the queue; below 0, they came back. Returns how many have left, or nil. A claim passes `try`, so that it is
-- told once what keeps jobs from being counted.
local function count_departed(call, queue, jobs)
  local total = call('HINCRBY', DEPARTED, queue, jobs)
  return type(total) == 'number' and total or nil
end

-- Jobs that arrived by this number may be out of order.
local function doubt(queue, number)
  local known = redis.pcall('HGET', UNSURE, queue)
  if (type(known) == 'string' and tonumber(known) or -math.huge) < number then
    redis.pcall('HSET', UNSURE, queue, whole(number))
  end
end

-- So many jobs were put where they would not stand by their order: before older ones, or behind younger ones.
local function doubt_all(queue, list, jobs)
  local total, length = redis.pcall('HGET', DEPARTED, queue), redis.pcall('LLEN', list)
  if type(length) == 'number' and length > jobs then
    doubt(queue, (type(total) == 'string' and tonumber(total) or 0) + length)
  end
end

-- Jobs were deleted from anywhere in the queue.
local function count_deleted(queue, list, jobs)
  local total = jobs > 0 and count_departed(redis.pcall, queue, jobs)
  local length = total and redis.pcall('LLEN', list)
  -- Those behind the last of them are in order, and nobody knows which that was.
  if type(length) == 'number' and length > 0 then
    doubt(queue, total + length)
  end
end

-- Jobs went back to the head of the queue. They may be older than others that left.
local function count_returned(queue, jobs)
  local total = count_departed(redis.pcall, queue, -jobs)
  if total then
    doubt(queue, total + jobs)
  end
end

-- promote: delayed -> queue, as raw bytes, for a batch that still stands at the head of its second.
--
-- KEYS   delayed_queue_schedule, queues, failed, resque_scheduler_leader_lock, delayed:<second>,
--        windlass:twins:<second> (jobs that stand in this second more than once);
--        per job timestamps:<raw>, then for "Q" the queue's list and, if it takes a lock, the lock
-- ARGV   now, leader or "", second, number of jobs; per job raw, then "Q", queue and the lock's
--        ttl or "", or "F" and the failure record
-- returns -1 if another leads, else the number moved; an error only if the first cannot be moved
--
-- Why this order: each job is pushed before the list is trimmed, so that an error leaves a job
-- where it was; timestamps go with the trimmed jobs, by their original bytes, unless an equal job
-- is left in the list; the second is forgotten only when its list is gone. QueueLock is taken if it
-- is free and never refuses.

local SCHEDULE, QUEUES, FAILED, LEADER, LIST, TWINS = key(), key(), key(), key(), key(), key()
local leader, second, count = arg(), arg(), tonumber(arg())
if leader ~= '' then
  local holder = must('GET', LEADER)
  if holder and holder ~= leader then
    return -1
  end
end
local standing = {}
if count > 0 then
  standing = must('LRANGE', LIST, 0, count - 1)
end
local moved, known, stamped = 0, {}, {}
for i = 1, count do
  local stamps = key()
  local raw, kind = arg(), arg()
  if standing[i] ~= raw then
    break
  end
  local pushed
  if kind == 'Q' then
    local list = key()
    local queue, ttl = arg(), arg()
    local lock = ttl ~= '' and key()
    if not known[queue] then
      known[queue] = try('SADD', QUEUES, queue)
    end
    pushed = known[queue] and try('RPUSH', list, raw)
    if pushed and lock then
      local value = redis.pcall('GET', lock)
      if not value or (type(value) == 'string' and is_free(lock)) then
        take(lock, tonumber(ttl))
      end
    end
  else
    pushed = try('RPUSH', FAILED, arg())
  end
  if not pushed then
    break
  end
  moved = i
  stamped[i] = stamps
end
if moved > 0 then
  redis.call('LTRIM', LIST, moved, -1)
  local twins = redis.call('EXISTS', TWINS) == 1
  for i = 1, moved do
    local twin = twins and redis.call('SISMEMBER', TWINS, standing[i]) == 1
    if not twin or not redis.call('LPOS', LIST, standing[i]) then
      try('SREM', stamped[i], 'delayed:' .. second)
    end
  end
end
if redis.call('EXISTS', LIST) == 0 then
  must('ZREM', SCHEDULE, second)
  redis.call('DEL', TWINS)
end
if broken[1] and moved == 0 then
  error('CORRUPT ' .. broken[1] .. '\31the key is of another type')
end
return moved

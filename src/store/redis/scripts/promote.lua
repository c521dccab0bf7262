-- promote: delayed -> queue, as raw bytes, for a batch that still stands at the head of its second.
--
-- KEYS   as places.lua; resque_scheduler_leader_lock, the lock of resque-scheduler's leader, delayed:<second>, windlass:twins:<second> (jobs that stand in
--        this second more than once); then by group: for "Q" and "L" the queue's list, per job timestamps:<raw>, for
--        "L" the lock
-- ARGV   now, leader or "", resque-scheduler's leader that moves nothing or "", when its lock lapses in ms or -1, by how
--        much readings of that differ, behind which argument lend.lua reads (0 if nothing is lent), second, number of jobs; then in groups: "Q" (jobs of one queue), number, queue, per job
--        raw; "L" (one that takes a lock), "1", queue, raw, the lock's ttl; "F" (one that fails), "1", raw, the failure
--        record; "P" (one that is put off), "1", raw, how many ms from now
-- returns {-1} if another leads, {-3} if a leader of resque-scheduler may be moving them, {-2, now in ms} if the second is not due, else {the number moved} and, if a queue did not take the next job, its
--         key and what is wrong with it; an error only if the first cannot be moved for another reason
--
-- Why this order: each group is pushed, all or none of it, before the list is trimmed, so that an error leaves a job
-- where it was. The right to trim is checked before the first push, because a job that stayed would be pushed again at
-- every look. QueueLock is taken if it is free; it never refuses a job here. resque-scheduler renews its lock before it
-- reads what it moves: what is moved while the lock is not renewed, it has not read.

now()
local LEADER, RUBY, LIST, HERE = key(), key(), key(), key()
local leader, still, still_until, readings = arg(), arg(), tonumber(arg()), tonumber(arg())
local loans_at = tonumber(arg())
local second, count = arg(), tonumber(arg())
if leader ~= '' then
  local holder = must('GET', LEADER)
  if holder and holder ~= leader then
    return { -1 }
  end
end
local ruby, ruby_until = ruby_leader(RUBY)
if ruby ~= '' and (ruby ~= still or ruby_until > still_until + readings) then
  return { -3 }
end

-- The caller may send it before its time. The score says when an entry is due; mostly it is the second.
if tonumber(second) * 1000 > now() then
  local due = must('ZSCORE', SCHEDULE, second) or second
  if tonumber(due) * 1000 > now() then
    return { -2, whole(now()) }
  end
end

local refusal
local standing = {}
if count > 0 then
  standing = must('LRANGE', LIST, 0, count - 1)
end
borrow(loans_at, standing)
if #standing > 0 then
  must('LTRIM', LIST, 0, -1)
  may('SREM', LIST, '')
  may('SADD', LIST, '')
end
must('ZREM', SCHEDULE, '')
local moved, known, stamped = 0, {}, {}
while moved < count do
  local kind, size = arg(), tonumber(arg())
  local list, queue
  if kind == 'Q' or kind == 'L' then
    list, queue = key(), arg()
    if known[queue] == nil then
      known[queue] = try('SADD', QUEUES, queue) or false
    end
  end
  -- The jobs of the group that still stand where they were seen.
  local good = 0
  for j = 1, size do
    local stamps, raw = key(), arg()
    if good == j - 1 and standing[moved + j] == raw then
      good, stamped[moved + j] = j, stamps
    end
  end
  local pushed
  if good == 0 then
    break
  elseif kind == 'F' then
    pushed = try('RPUSH', FAILED, arg())
  elseif kind == 'P' then
    local later = math.ceil((now() + tonumber(arg())) / 1000)
    pushed = delay(whole(later), standing[moved + 1], stamped[moved + 1])
  elseif known[queue] then
    pushed = redis.pcall('RPUSH', list, unpack(standing, moved + 1, moved + good))
    if type(pushed) == 'table' then
      local message = named('RPUSH', list, pushed.err)
      if string.find(message, '^REFUSED') and not string.find(message, 'access', 1, true) then
        broken[#broken + 1] = message
      else
        refusal = { list, message }
      end
      pushed = nil
    end
    if pushed and kind == 'L' then
      local ttl = tonumber(arg())
      take_if_free(key(), ttl)
    end
  end
  if not pushed then
    break
  end
  moved = moved + good
  if good < size then
    break
  end
end
trim_second(try, SCHEDULE, second, LIST, HERE, standing, stamped, moved)
if broken[1] and moved == 0 then
  error(broken[1])
end
if refusal then
  return { moved, refusal[1], refusal[2] }
end
return { moved }

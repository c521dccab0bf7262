-- fire: nowhere -> queue, for an occurrence of a schedule.
--
-- KEYS   windlass:schedules, queues; with a job the queue's list, then what its admissions read
-- ARGV   now, schedule, its last occurrence as it was read or "", the new one, "1" with a job, its
--        queue, its bytes, number of admissions, the admissions as in admit.lua
-- returns 0 remembered (and enqueued), the number from 1 of the admission that refused the job, or
--         -1 if another was faster
--
-- Why this order: the occurrence is compared first. It is remembered before the job is pushed, because otherwise a job
-- that is pushed and not remembered would be pushed again at every look. If the push fails, the occurrence is due
-- again.

needs_room = true
local SCHEDULES, QUEUES = key(), key()
local id, seen, last = arg(), arg(), arg()
-- What is no second of a date counts as no occurrence, as the caller reads it (stored.rs).
local standing = must('HGET', SCHEDULES, id)
standing = standing and string.match(standing, '^[+-]?%d+$') and tonumber(standing)
if standing and math.abs(standing) > 8640000000000 then
  standing = nil
end
if (standing or nil) ~= tonumber(seen) then
  return -1
end
local refused = 0
if arg() == '1' then
  local list = key()
  local queue, raw = arg(), arg()
  local admissions, locks = read_admissions(), nil
  must('LLEN', list)
  must('SCARD', QUEUES)
  refused, locks = admit(admissions)
  if refused == 0 then
    if not try('SADD', QUEUES, queue) or not try('HSET', SCHEDULES, id, last) then
      give_back(locks)
      error(broken[1])
    end
    if not try('RPUSH', list, raw) then
      give_back(locks)
      if seen ~= '' or not try('HDEL', SCHEDULES, id) then
        try('HSET', SCHEDULES, id, seen)
      end
      error(broken[1])
    end
    return refused
  end
end
must('HSET', SCHEDULES, id, last)
return refused

-- lead: takes a free leadership or renews one's own.
--
-- KEYS   the lock
-- ARGV   now (unused), owner, ttl in ms
-- returns 1 if the owner leads, 0 if another does
--
-- Why this order: compare and renew are one step, so that nobody prolongs another's lock.

local lock, owner, ttl = key(), arg(), arg()
local holder = must('GET', lock)
if not holder then
  redis.call('SET', lock, owner, 'PX', ttl)
  return 1
end
if holder == owner then
  redis.call('PEXPIRE', lock, ttl)
  return 1
end
return 0

-- delete_lock: removes a lock for people.
--
-- KEYS   the lock
-- ARGV   now (unused)
-- returns 1 if it was removed; 0 if there is none
--
-- Why this order: a lock is a string. What is of another type is no lock, no matter who calls it one, and stays.

local LOCK = key()
local value = redis.pcall('GET', LOCK)
if type(value) == 'table' and not string.find(value.err, 'WRONGTYPE', 1, true) then
  error(named('GET', LOCK, value.err))
end
if type(value) ~= 'string' then
  return 0
end
return must('DEL', LOCK)

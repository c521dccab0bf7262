-- lead: takes a free leadership or renews one's own.
--
-- KEYS   the lock
-- ARGV   now (unused), owner, ttl in ms
-- returns 1 if the owner leads, 0 if another does
--
-- Why this order: see leadership.lua.

return lead(key(), arg(), arg())

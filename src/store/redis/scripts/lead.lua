-- lead: takes a free leadership or renews one's own.
--
-- KEYS   the lock
-- ARGV   now (unused), owner, ttl in ms, how many ms another's lock may live at most
-- returns 1 if the owner leads, 0 if another does
--
-- Why this order: see leadership.lua.

local lock, owner, ttl, longest = key(), arg(), arg(), tonumber(arg())
return lead(lock, owner, ttl, function()
  return longest
end)

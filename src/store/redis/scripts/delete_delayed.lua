-- delete_delayed: removes every delayed job of exactly these bytes, and what Retry kept of it.
--
-- KEYS   as places.lua; timestamps:<raw>; Retry's counter and last error if they follow
-- ARGV   now, raw, the queue it names or "", "1" if Retry's keys follow
-- returns the seconds at which one was removed, and last "more" if there are others
--
-- Why this order: every second's type is checked before the first copy is removed. The stamps, by which the copies are
-- found, are removed after the copies.

now()
local STAMPS = key()
local raw, queue = arg(), arg()
local counter, failure
if arg() == '1' then
  counter, failure = key(), key()
end
local seconds_of = stamped(STAMPS)
local found = erase(STAMPS, raw, queue, seconds_of)
if counter and #found > 0 then
  try('DEL', counter, failure)
end
if seconds_of.more then
  found[#found + 1] = 'more'
end
return found

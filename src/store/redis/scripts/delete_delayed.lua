-- delete_delayed: removes every delayed job of exactly these bytes, and what Retry kept of it.
--
-- KEYS   as places.lua; timestamps:<raw>; Retry's counter and last error if they follow
-- ARGV   now, raw, the queue it names or "", "1" if Retry's keys follow
-- returns the seconds at which one was removed
--
-- Why this order: every second is looked at before the first copy goes; the stamps, by which the copies are found, go
-- last of what people see.

now()
local STAMPS = key()
local raw, queue = arg(), arg()
local counter, failure
if arg() == '1' then
  counter, failure = key(), key()
end
local found = erase(STAMPS, raw, queue, stamped(STAMPS))
if counter and #found > 0 then
  try('DEL', counter, failure)
end
return found

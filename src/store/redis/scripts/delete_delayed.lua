-- delete_delayed: removes every delayed job of exactly these bytes.
--
-- KEYS   delayed_queue_schedule, "delayed:" (prefix, see places.lua), timestamps:<raw>
-- ARGV   now (unused), raw
-- returns the seconds at which one was removed
--
-- Why this order: the stamps, by which the copies are found, go last.

local SCHEDULE, DELAYED, STAMPS = key(), key(), key()
return erase(SCHEDULE, DELAYED, STAMPS, arg())

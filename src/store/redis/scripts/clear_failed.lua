-- clear_failed: removes all failure records.
--
-- KEYS   failed
-- ARGV   now (unused)
-- returns how many there were
--
-- Why this order: the number is read before the records go.

local FAILED = key()
local length = must('LLEN', FAILED)
unlink(must, FAILED)
return length

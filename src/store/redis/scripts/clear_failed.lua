-- clear_failed: removes all failure records.
--
-- KEYS   failed
-- ARGV   now (unused)
-- returns how many there were
--
-- Why this order: the number is read before the records go.

local FAILED = key()
local length = must('LLEN', FAILED)
-- However long it is, this takes a moment: the server frees it beside its work.
if not try('UNLINK', FAILED) then
  must('DEL', FAILED)
end
return length

-- keep_operation: how far an operation on many failed jobs is.
--
-- KEYS   windlass:op:<id>
-- ARGV   now (unused), the record, for how many seconds it is kept
-- returns 1
--
-- Why this order: a value of another type is named instead of being overwritten.

local PLACE = key()
local record, kept = arg(), arg()
must('STRLEN', PLACE)
must('SET', PLACE, record, 'EX', kept)
return 1

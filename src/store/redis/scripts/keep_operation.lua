-- keep_operation: how far an operation on many failed jobs is.
--
-- KEYS   windlass:op:<id>
-- ARGV   now (unused), the record, for how many seconds it is kept
-- returns 1

local PLACE = key()
local record, kept = arg(), arg()
must('SET', PLACE, record, 'EX', kept)
return 1

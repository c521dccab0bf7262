-- attempts: a read of what Retry keeps of some jobs, of which one at least is long.
--
-- KEYS   the keys
-- ARGV   now (unused), per long job the name of its counter, of which the keys are put together (lent.lua)
-- returns for each key its value; nil if there is none, or one of another type
--
-- Why this order: none; nothing is written.

return must('MGET', unpack(KEYS))

-- periodic: a read of all periodic entries and of which JobLocks are held, at one moment.
--
-- KEYS   windlass:periodic; the locks
-- ARGV   now (unused), number of locks
-- returns {{task, entry, ...}, {1 if held, ...}}
--
-- Why this order: none; nothing is written.

local PERIODIC = key()
local held = {}
for i = 1, tonumber(arg()) do
  held[i] = must('EXISTS', key())
end
return { must('HGETALL', PERIODIC), held }

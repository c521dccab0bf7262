-- attempts: a read of what Retry keeps of some jobs, without what is long.
--
-- KEYS   the keys
-- ARGV   now (unused), the longest value in bytes, per long job the name of its counter, of which the keys are put together (lent.lua)
-- returns for each key its value; nil if there is none, one of another type, or a longer one
--
-- Why this order: none; nothing is written.

local longest = tonumber(arg())
local values = must('MGET', unpack(KEYS))
for i = 1, #KEYS do
  if values[i] and #values[i] > longest then
    values[i] = false
  end
end
return values

-- values: what stands under some keys, as far as one reply may hold it.
--
-- KEYS   the keys
-- ARGV   now (unused), how many bytes the reply may hold
-- returns for each key its value; nil if there is none, or one of another type; the length of a value that does not fit
--
-- Why this order: none; nothing is written.

local room, held = tonumber(arg()), 0
local values = must('MGET', unpack(KEYS))
for i = 1, #KEYS do
  if values[i] then
    held = held + #values[i]
    if held > room then
      held = held - #values[i]
      values[i] = #values[i]
    end
  end
end
return values

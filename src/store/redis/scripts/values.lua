-- values: what stands under some keys, as far as one reply may hold it.
--
-- KEYS   the keys
-- ARGV   now (unused), how many bytes the reply may hold
-- returns for each key its value; nil if there is none, or one of another type; a number, how many bytes it has at least, for a
--         value that does not fit
--
-- Why this order: none; nothing is written.
--
-- Of a value no more is read than may still be told: reading hundreds of megabytes whole would hold up the server for
-- seconds, and with it every lease.

local room, held = tonumber(arg()), 0
local values = {}
-- Most often workers are idle, and there is nothing at all.
local none = must('EXISTS', unpack(KEYS)) == 0
for i = 1, #KEYS do
  if none then
    values[i] = false
  else
    local left = room - held
    local value = redis.pcall('GETRANGE', KEYS[i], 0, whole(left))
    -- Nothing and a value without bytes look the same. An error: another type, or no right to read parts.
    if value == '' or type(value) == 'table' then
      value = must('MGET', KEYS[i])[1]
    end
    if value and #value > left then
      value = #value
    elseif value then
      held = held + #value
    end
    values[i] = value
  end
end
return values

-- heads: the beginnings of what stands under some keys.
--
-- KEYS   the keys
-- ARGV   now (unused), how many bytes of each are told
-- returns for each key its value; nil if there is none, or one of another type; {its beginning, how many bytes it has} if it is
--         longer
--
-- Why this order: none; nothing is written. Of a value no more is read than is told: reading hundreds of megabytes whole would
-- hold up the server for seconds, and with it every lease.

local longest = tonumber(arg())
local values = {}
-- Most often workers are idle, and there is nothing at all.
local none = must('EXISTS', unpack(KEYS)) == 0
for i = 1, #KEYS do
  local value = false
  if not none then
    value = redis.pcall('GETRANGE', KEYS[i], 0, whole(longest))
    -- Nothing and a value without bytes look the same. An error: another type, or no right to read parts.
    if value == '' or type(value) == 'table' then
      value = must('MGET', KEYS[i])[1]
    end
    if value and #value > longest then
      local length = redis.pcall('STRLEN', KEYS[i])
      values[i] = { string.sub(value, 1, longest), type(length) == 'number' and length or #value }
      value = nil
    end
  end
  if value ~= nil then
    values[i] = value
  end
end
return values

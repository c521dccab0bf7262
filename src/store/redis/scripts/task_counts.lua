-- task_counts: a read of what ran of one task in some buckets (history.lua).
--
-- KEYS   the buckets
-- ARGV   now (unused), how many bytes of each field are told, number of fields, the fields
-- returns per bucket what stands in the fields, cut; {} for a key of another type
--
-- Why this order: none; nothing is written.

local longest, fields, reply = tonumber(arg()), {}, {}
for i = 1, tonumber(arg()) do
  fields[i] = arg()
end
for i = 1, #KEYS do
  local held = redis.pcall('HMGET', KEYS[i], unpack(fields))
  if held.err and not string.find(held.err, 'WRONGTYPE', 1, true) then
    error(named('HMGET', KEYS[i], held.err))
  end
  for j = 1, #held do
    held[j] = held[j] and string.sub(held[j], 1, longest)
  end
  reply[i] = held.err and {} or held
end
return reply

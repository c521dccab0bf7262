-- instances: a read of registrations and lease counters at one moment.
--
-- KEYS   windlass:instances, windlass:leases
-- ARGV   now (unused)
-- returns {id, record, counter, ...}
--
-- Why this order: none; nothing is written.

local INSTANCES, LEASES = key(), key()
local records = must('HGETALL', INSTANCES)
local reply = {}
for i = 1, #records, 2 do
  local at = #reply
  reply[at + 1] = records[i]
  reply[at + 2] = records[i + 1]
  reply[at + 3] = must('HGET', LEASES, records[i]) or '0'
end
return reply

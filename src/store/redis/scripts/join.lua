-- join: registers an instance and starts its lease, unless another instance holds its name.
--
-- KEYS   windlass:instances, windlass:leases, windlass:names
-- ARGV   now (unused), id, name, record
-- returns "" or the record of the instance that holds the name
--
-- Why this order: nothing is written before the name is known to be free.

local INSTANCES, LEASES, NAMES = key(), key(), key()
local id, name, record = arg(), arg(), arg()
local holder = must('HGET', NAMES, name)
if holder and holder ~= id then
  local other = must('HGET', INSTANCES, holder)
  if other then
    return other
  end
end
must('HSET', INSTANCES, id, record)
must('HSETNX', LEASES, id, '1')
redis.call('HSET', NAMES, name, id)
return ''

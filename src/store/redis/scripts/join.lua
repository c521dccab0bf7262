-- join: registers an instance and starts its lease, unless another instance holds its name. A holder whose registration
-- cannot be read is removed.
--
-- KEYS   windlass:instances, windlass:leases, windlass:names, windlass:birth
-- ARGV   now (unused), id, name, the name as it stands in a record (`"name":"..."`), record, the registration that cannot
--        be read or ""
-- returns "" or the record of the instance that holds the name
--
-- Why this order: nothing is written before the name is known to be free and every key's type is checked. The
-- registration that cannot be read is removed last. A store without a birth mark gets the id, which is random.

local INSTANCES, LEASES, NAMES, BIRTH = key(), key(), key(), key()
local id, name, member, record, unreadable = arg(), arg(), arg(), arg(), arg()
local holder = must('HGET', NAMES, name)
if not holder then
  -- The names may have been lost, and two instances must not have the same workers.
  local cursor = '0'
  repeat
    local page = must('HSCAN', INSTANCES, cursor, 'COUNT', 100)
    cursor = page[1]
    for i = 2, #page[2], 2 do
      if page[2][i - 1] ~= id and string.find(page[2][i], member, 1, true) then
        holder = page[2][i - 1]
      end
    end
  until cursor == '0'
end
local other = holder and holder ~= id and must('HGET', INSTANCES, holder)
if other and other ~= unreadable then
  return other
end
must('HDEL', LEASES, '')
must('HSET', INSTANCES, id, record)
must('HSETNX', LEASES, id, '1')
must('HSET', NAMES, name, id)
-- If it cannot be written, an extension will.
try('SET', BIRTH, id, 'NX')
if other then
  must('HDEL', INSTANCES, holder)
  must('HDEL', LEASES, holder)
end
return ''

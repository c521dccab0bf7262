-- bury: another instance removes a dead one, if the dead one's counter is unchanged and it has no working record.
--
-- KEYS   windlass:instances, windlass:leases, windlass:names, windlass:lane:<id>, workers,
--        windlass:wishes:<id>, windlass:progress:<id>, windlass:beat:<id>:0 and :1; per
--        worker as in members.lua
-- ARGV   now (unused), id, name, counter, number of workers; per worker as in members.lua
-- returns 1 if it is buried, 0 if not
--
-- Why this order: counter and records are compared, and every key's type is checked, before the first write. The lane
-- is removed with the registration, so that an exchange of the dead instance that arrives later applies nothing.

local INSTANCES, LEASES, NAMES, LANE, WORKERS, WISHES, PROGRESS = key(), key(), key(), key(), key(), key(), key()
local BEATS = { key(), key() }
local id, name, counter, count = arg(), arg(), arg(), tonumber(arg())
local list, standing = members(count)
local beats = counter_of(must('HGET', LEASES, id))
-- One whose counter was lost is dead when it does not begin to count anew, which a living one does.
if (beats or must('HEXISTS', INSTANCES, id) == 1 and '0') ~= counter then
  return 0
end
for i = 1, count do
  if claimed_by(id, standing[i]) then
    return 0
  end
end
must('HDEL', INSTANCES, '')
must('SREM', WORKERS, '')
local holder = must('HGET', NAMES, name)
clear(LANE)
remove(WISHES, PROGRESS, unpack(BEATS))
-- Workers of a name that another instance has taken are that one's.
for i = 1, holder and holder ~= id and 0 or count do
  if not standing[i] then
    strike(must, WORKERS, list[i])
  end
end
must('HDEL', LEASES, id)
must('HDEL', INSTANCES, id)
if holder == id then
  must('HDEL', NAMES, name)
end
return 1

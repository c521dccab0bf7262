-- leave: an instance's end by itself; its idle workers go, and with the last record its
-- registration.
--
-- KEYS   windlass:instances, windlass:leases, windlass:names, windlass:lane:<id>, workers; per
--        worker as in members.lua
-- ARGV   now (unused), id, name, number of workers; per worker as in members.lua
-- returns 1 if the instance is gone, 0 if a working record of it is left to recovery
--
-- Why this order: all records are read before anything is removed; the registration goes last, for
-- it is what recovery finds the rest by. If another instance has the name meanwhile, the workers
-- of that name are its own, and stay.

local INSTANCES, LEASES, NAMES, LANE, WORKERS = key(), key(), key(), key(), key()
local id, name, count = arg(), arg(), tonumber(arg())
local list, standing = members(count)
local holder = must('HGET', NAMES, name)
local left = false
for i = 1, count do
  if holder and holder ~= id then
    break
  elseif not standing[i] then
    strike(WORKERS, list[i])
  elseif claimed_by(id, standing[i]) then
    left = true
  end
end
if left then
  return 0
end
must('DEL', LANE)
must('HDEL', LEASES, id)
must('HDEL', INSTANCES, id)
if holder == id then
  must('HDEL', NAMES, name)
end
return 1

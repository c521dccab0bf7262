-- leave: an instance's end by itself; its idle workers go, and with the last record its
-- registration.
--
-- KEYS   windlass:instances, windlass:leases, windlass:names, windlass:lane:<id>, workers; per
--        worker as in members.lua
-- ARGV   now (unused), id, name, number of workers; per worker as in members.lua
-- returns {1 if the instance is gone, 0 if a working record of it is left to recovery; errors}
--
-- Why this order: all records are read, and the rights are asked, before anything is removed; the registration goes last,
-- for it is what recovery finds the rest by. If another instance has the name meanwhile, the workers
-- of that name are its own, and stay.
--
-- Nobody leaves twice: a key of another type holds nothing of this instance, is passed over and told.

local INSTANCES, LEASES, NAMES, LANE, WORKERS = key(), key(), key(), key(), key()
local id, name, count = arg(), arg(), tonumber(arg())
local list, standing = members(count)
may('HGET', NAMES, name)
may('SREM', WORKERS, '')
may('HDEL', LEASES, '')
local holder = try('HGET', NAMES, name)
local replaced = holder and holder ~= id
local left = false
for i = 1, count do
  left = left or not replaced and claimed_by(id, standing[i])
end
if not left then
  must('DEL', LANE)
end
for i = 1, count do
  if not replaced and not standing[i] then
    strike(try, WORKERS, list[i])
  end
end
if left then
  return { 0, broken }
end
try('HDEL', LEASES, id)
try('HDEL', INSTANCES, id)
if holder == id then
  try('HDEL', NAMES, name)
end
return { 1, broken }

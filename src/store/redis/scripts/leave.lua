-- leave: an instance ends by itself: removes its idle workers, and its registration if no working record is left.
--
-- KEYS   windlass:instances, windlass:leases, windlass:names, windlass:lane:<id>, workers,
--        windlass:wishes:<id>, windlass:progress:<id>, windlass:beat:<id>:0 and :1; per
--        worker as in members.lua; with counts "windlass:h", a prefix (history.lua)
-- ARGV   now, id, name, number of workers; per worker as in members.lua; counts of what ran, if there are any (history.lua)
-- returns {1 if the instance is gone, 0 if a working record of it is left to recovery; errors}
--
-- Why this order: all records are read and the rights are checked before anything is removed. The registration goes
-- last, because recovery finds the rest by it. Counts are taken only while it stands, and the lane, which tells what was
-- taken, goes after all that can end the script, so that a repetition counts nothing twice. If another instance has taken
-- the name, the workers of that name belong to it and stay.
--
-- An instance leaves only once. A key of another type holds nothing of it, so that such a key is skipped and returned.

local INSTANCES, LEASES, NAMES, LANE, WORKERS, WISHES, PROGRESS = key(), key(), key(), key(), key(), key(), key()
local BEATS = { key(), key() }
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
if ARGV[a + 1] and (try('HEXISTS', LEASES, id) == 1 or try('HEXISTS', INSTANCES, id) == 1) then
  take_counts(LANE, key())
end
for i = 1, count do
  if not replaced and not standing[i] then
    strike(try, WORKERS, list[i])
  end
end
if left then
  return { 0, broken }
end
remove(WISHES, PROGRESS, unpack(BEATS))
clear(LANE)
try('HDEL', LEASES, id)
try('HDEL', INSTANCES, id)
if holder == id then
  try('HDEL', NAMES, name)
end
return { 1, broken }

-- bury: a dead instance's end by others, if its counter still stands and nothing of it is working.
--
-- KEYS   windlass:instances, windlass:leases, windlass:names, windlass:lane:<id>, workers; per
--        worker as in members.lua
-- ARGV   now (unused), id, name, counter, number of workers; per worker as in members.lua
-- returns 1 if it is buried, 0 if not
--
-- Why this order: counter and records are compared before the first write; the lane goes with the
-- registration, so that an exchange that was still on its way applies nothing.

local INSTANCES, LEASES, NAMES, LANE, WORKERS = key(), key(), key(), key(), key()
local id, name, counter, count = arg(), arg(), arg(), tonumber(arg())
local list, standing = members(count)
if must('HGET', LEASES, id) ~= counter then
  return 0
end
for i = 1, count do
  if claimed_by(id, standing[i]) then
    return 0
  end
end
for i = 1, count do
  if not standing[i] then
    strike(WORKERS, list[i])
  end
end
must('DEL', LANE)
must('HDEL', LEASES, id)
must('HDEL', INSTANCES, id)
if must('HGET', NAMES, name) == id then
  must('HDEL', NAMES, name)
end
return 1

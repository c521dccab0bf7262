-- open_lane: starts a lane at sequence 0, unless it exists or its instance is gone.
--
-- KEYS   windlass:lane:<instance>, windlass:leases, windlass:instances
-- ARGV   now (unused), lane, instance
-- returns the lane's last sequence; 0 for an instance that is gone, whose exchanges apply nothing
--
-- Why this order: an exchange is applied only if its lane exists. Burying an instance removes its lanes, so that a late
-- exchange of it is not applied. A lane that was started after that would stay for ever, and its exchanges would claim.

local LANE, LEASES, INSTANCES = key(), key(), key()
local lane, id = arg(), arg()
-- What cannot be read is not known to be gone.
local function is_gone_from(place)
  return redis.pcall('HEXISTS', place, id) == 0
end
if is_gone_from(LEASES) and is_gone_from(INSTANCES) then
  return 0
end
must('HSETNX', LANE, lane, '0')
return string.match(must('HGET', LANE, lane), '^%d+')

-- open_lane: starts a lane at sequence 0, unless it exists.
--
-- KEYS   windlass:lane:<instance>
-- ARGV   now (unused), lane
-- returns the lane's last sequence
--
-- Why this order: an exchange is applied only if its lane exists. Burying an instance removes its lanes, so that a late
-- exchange of it is not applied.

local LANE, lane = key(), arg()
must('HSETNX', LANE, lane, '0')
return string.match(must('HGET', LANE, lane), '^%d+')

-- open_lane: a lane that does not exist yet starts at sequence 0; one that exists goes on.
--
-- KEYS   windlass:lane:<instance>
-- ARGV   now (unused), lane
-- returns the lane's last sequence
--
-- Why this order: an exchange applies only on a lane that is there, and burying an instance
-- removes its lanes; so a late exchange of a buried instance finds none.

local LANE, lane = key(), arg()
must('HSETNX', LANE, lane, '0')
return string.match(must('HGET', LANE, lane), '^%d+')

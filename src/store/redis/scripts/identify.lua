-- identify: which store this is, for a move from or to it.
--
-- KEYS   windlass:moving
-- ARGV   now (unused), an id for a store that has none, a mark to write or ""
-- returns {id, mark or nothing}

local MOVING = key()
local fresh, mark = arg(), arg()
must('HSETNX', MOVING, 'store', fresh)
if mark ~= '' then
  must('HSET', MOVING, 'mark', mark)
end
return { must('HGET', MOVING, 'store'), must('HGET', MOVING, 'mark') }

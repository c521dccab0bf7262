-- identify: which store this is, for a move from or to it.
--
-- KEYS   windlass:moving
-- ARGV   now (unused), an id for a store that has none, a mark to write or ""
-- returns {id, mark or nothing, and of the batch that was set aside last its number and batch (aside.lua), or nothing}

local MOVING = key()
local fresh, mark = arg(), arg()
must('HSETNX', MOVING, 'store', fresh)
if mark ~= '' then
  must('HSET', MOVING, 'mark', mark)
end
local function field(name)
  return must('HGET', MOVING, name)
end
return { field('store'), field('mark'), field('number'), field('batch') }

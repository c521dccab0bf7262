-- failed_part: a read of failure records that stand side by side, as many as one step holds.
--
-- KEYS   failed
-- ARGV   now (unused), a position, how many at most, "1" for those before it, the newest first; else from it on, oldest first
-- returns {the position of the first of them; the records, as announce.lua tells them}
--
-- Why this order: none; nothing is written. Records are long more often than jobs, and only people read them, so that each is
-- read by itself.

local FAILED = key()
local position, most, back = tonumber(arg()), tonumber(arg()), arg() == '1'
if not back then
  return { whole(position), announce(read_page(FAILED, position, most, false, ROOM, 1)) }
end
local length = must('LLEN', FAILED)
local stop = math.min(position, length)
return { whole(stop - 1), stop > 0 and announce(read_page(FAILED, length - stop, most, true, ROOM, 1)) or {} }

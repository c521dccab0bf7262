-- failed_part: a read of failure records that stand side by side, as many as one step holds.
--
-- KEYS   failed
-- ARGV   now (unused), a position, how many at most, "1" for those before it, the newest first; else from it on, oldest first
-- returns {the position of the first of them; the records}
--
-- Why this order: none; nothing is written. Records are long more often than jobs, and only people read them, so that each is
-- read by itself.

local FAILED = key()
local position, most, back = tonumber(arg()), tonumber(arg()), arg() == '1'
if not back then
  return { whole(position), read_page(FAILED, position, most, false, nil, 1) }
end
local length = must('LLEN', FAILED)
local stop = math.min(position, length)
return { whole(stop - 1), stop > 0 and read_page(FAILED, length - stop, most, true, nil, 1) or {} }

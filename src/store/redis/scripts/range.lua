-- range: a read of a part of a list, as far as one step may hold it.
--
-- KEYS   the list
-- ARGV   now (unused), the first and the last position as LRANGE counts them
-- returns {the position at which the rest begins, counted from the same end, or "" if there is none; the position of the first
--         member, from the head; the members, as announce.lua tells them}
--
-- Why this order: none; nothing is written.

local LIST = key()
local start, stop = tonumber(arg()), tonumber(arg())
local length = must('LLEN', LIST)
local first = start < 0 and math.max(length + start, 0) or start
local last = stop < 0 and length + stop or math.min(stop, length - 1)
local jobs = announce(read_page(LIST, first, last - first + 1, false, ROOM))
local rest = first + #jobs
if #jobs == 0 or rest > last then
  return { '', whole(first), jobs }
end
return { whole(start < 0 and rest - length or rest), whole(first), jobs }

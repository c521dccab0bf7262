-- fence: takes the number of an exchange that was cut off, so that it applies nothing if it still comes.
--
-- KEYS   windlass:lane:<instance>
-- ARGV   now (unused), lane, sequence, what a repetition is told: the settlements, the enters (lane.lua)
-- returns "A" if the number was taken, "R" if it was before, "G" if the lane is not there or cannot be read
--
-- Why this order: the number is compared and taken in one step. What a repetition is told says that nothing was done, which is
-- true no matter who asks.

local LANE, lane, sequence, lost, entered = key(), arg(), tonumber(arg()), arg(), arg()
local last = string.match(must('HGET', LANE, lane) or '', '^%d+')
if not last then
  return 'G'
elseif sequence <= tonumber(last) then
  return 'R'
end
must('HSET', LANE, lane, whole(sequence) .. '\n' .. lost .. '\n' .. entered)
return 'A'

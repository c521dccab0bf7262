-- exchange, 2 and 3 of 4, for exchanges without enters whose settlements are all done: settle.lua and enter.lua without
-- what other endings need. Most exchanges are of this kind.
--
-- ARGV   as for settle.lua, with N and D as the only ops and no enters
--
-- Why this order: as in settle.lua.

local settling = arg()
arg()
local DONE = 68
local ended, lost, entered, repeats = {}, {}, {}, {}
local place, counted, processed = {}, false, 0
for i = 1, settlements do
  local op, p1, p2, h1, h2 = string.byte(settling, 5 * i - 4, 5 * i)
  local position = p1 * 256 + p2
  local record, claim = standing[position], ARGV[heads_at + h1 * 256 + h2]
  counted = counted or op == DONE
  if record and not ended[position] and string.sub(record, 1, #claim) == claim then
    place[i] = position
    ended[position] = true
    processed = processed + 1
  else
    lost[#lost + 1] = i - 1
  end
end
must('HSET', LANE, lane, whole(sequence) .. '\n' .. table.concat(lost, ','))

if counted then
  for i = 1, settlements do
    if string.byte(settling, 5 * i - 4) == DONE then
      local stat, uncounted = key(), arg()
      if place[i] then
        try('INCRBY', stat, uncounted)
      end
    end
  end
end
if processed > 0 then
  try('INCRBY', PROCESSED_STAT, processed)
end

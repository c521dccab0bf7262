-- exchange, 2 of 4: working -> done, failed, delayed or back to the head of the queue; see
-- verdict.lua for what each reads.
--
-- ARGV   the settlements, five bytes each: op, the worker's position, the head (two bytes each, from 1); the enters,
--        the same without op
--
-- Besides verdict.lua's ops there is N: done, and not counted for the worker now. Long values come out of the working records
-- (lend.lua).
--
-- Why this order: all owners are compared before the first write. The lane's gate is written next (lane.lua says why),
-- then the settlements in their order. The working records are deleted last, in claim.lua.

-- The time is read before the first write, because no error may end the script after it.
now()
local settling, entering = arg(), arg()
local NOTED = 78

-- Positions whose claim is over.
local ended = {}

local function owns(position, h1, h2)
  local record, claim = standing[position], ARGV[heads_at + h1 * 256 + h2]
  return record and string.sub(record, 1, #claim) == claim
end

local function token_of(position)
  return string.match(standing[position] or '', '^{"claim":"([^"]*)"')
end

local place, lost = {}, {}
for i = 1, settlements do
  local p1, p2, h1, h2 = string.byte(settling, 5 * i - 3, 5 * i)
  local position = p1 * 256 + p2
  -- Two settlements of one claim: the second finds it over.
  if owns(position, h1, h2) and not ended[position] then
    place[i] = position
    ended[position] = true
  else
    lost[#lost + 1] = i - 1
  end
end
must('HSET', LANE, lane, whole(sequence) .. '\n' .. table.concat(lost, ','))

borrow(loans_at, standing)
local repeats = {}
for i = 1, settlements do
  local op, position = string.byte(settling, 5 * i - 4), place[i]
  local mine = position and not unlent[position] and position
  if position and not mine then
    tell_unlent(KEYS[workers_at + position])
  end
  if op == NOTED then
    if position then
      processed = processed + 1
    end
  elseif settle(op, mine and token_of(position), mine) then
    if op % 32 == ATTEMPT % 32 and repeated then
      repeats[#repeats + 1] = (i - 1) .. ':' .. repeated
    end
  elseif position then
    -- It could not be recorded; the claim stands.
    ended[position] = nil
    lost[#lost + 1] = '!' .. i - 1
  end
end
count()

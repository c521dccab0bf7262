-- exchange, 2 of 4: working -> done, failed, delayed or back to the head of the queue; see
-- verdict.lua for what each reads.
--
-- Why this order: all owners are compared before the first write. The lane's gate is written next
-- (lane.lua says why), then the settlements in the order given; the working records are deleted
-- at the very end, in claim.lua, together with those that were not claimed again.

local ops = arg()
local standing = records(ends_at, settlements + enters)
local owned, lost = {}, {}
for i = 1, settlements + enters do
  local record, claim = standing[i], ARGV[claims_at + i]
  owned[i] = record and string.sub(record, 1, #claim) == claim
  if not owned[i] and i <= settlements then
    lost[#lost + 1] = i - 1
  end
end
redis.call('HSET', LANE, lane, whole(sequence) .. '\n' .. table.concat(lost, ','))

local over, ended, repeats = {}, {}, {}
for i = 1, settlements do
  local op, place = string.byte(ops, i), KEYS[ends_at + i]
  -- Two settlements of one claim: the second finds it over.
  local mine = owned[i] and not ended[place]
  if op == DONE then
    k = k + 1
    if mine then
      processed = processed + 1
      try('INCR', KEYS[k])
      ended[place] = true
      over[#over + 1] = place
    end
  else
    local token = string.sub(ARGV[claims_at + i], 11, -2)
    if settle(op, token, mine) then
      ended[place] = true
      over[#over + 1] = place
      if op % 32 == ATTEMPT % 32 and repeated then
        repeats[#repeats + 1] = (i - 1) .. ':' .. repeated
      end
    elseif mine then
      lost[#lost + 1] = i - 1
    end
  end
  if owned[i] and not mine then
    lost[#lost + 1] = i - 1
  end
end
count()

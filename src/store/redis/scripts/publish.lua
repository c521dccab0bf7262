-- publish: the leader's snapshot, in place of the one before, and curves for the next leader.
--
-- KEYS   windlass:snapshot, windlass:arrivals
-- ARGV   now (unused), the snapshot, for how many ms it stands; number of queues, per queue its name and its curve, or ""
--        if there is none any more
--
-- returns what was wrong with the curves. Without them the next leader begins anew, and the snapshot is published all the
--        same.

local SNAPSHOT, ARRIVALS = key(), key()
local snapshot, lasts = arg(), arg()
must('SET', SNAPSHOT, snapshot, 'PX', lasts)
local writes, gone = {}, {}
for _ = 1, tonumber(arg()) do
  local queue, curve = arg(), arg()
  if curve == '' then
    gone[#gone + 1] = queue
  else
    writes[#writes + 1] = queue
    writes[#writes + 1] = curve
  end
end
if #writes > 0 then
  try('HSET', ARRIVALS, unpack(writes))
end
if #gone > 0 then
  try('HDEL', ARRIVALS, unpack(gone))
end
return table.concat(broken, '\30')

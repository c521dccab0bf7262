-- forget_queues: the counts and curves of queues that are not known any more and hold no jobs.
--
-- KEYS   as departed.lua; windlass:arrivals, queues; the list of each queue
-- ARGV   now (unused), number of queues, per queue its name
-- returns the names of those that are forgotten

local ARRIVALS, QUEUES = key(), key()
local gone = {}
for _ = 1, tonumber(arg()) do
  local list, queue = key(), arg()
  -- Whatever stands in the place of a queue, it holds no jobs that are counted.
  local length = redis.pcall('LLEN', list)
  if must('SISMEMBER', QUEUES, queue) == 0 and (type(length) ~= 'number' or length == 0) then
    gone[#gone + 1] = queue
  end
end
if #gone > 0 then
  must('HDEL', DEPARTED, unpack(gone))
  try('HDEL', UNSURE, unpack(gone))
  try('HDEL', ARRIVALS, unpack(gone))
end
return gone

-- delete_queue: removes a queue and its jobs, unless it holds more than expected.
--
-- KEYS   as places.lua; as departed.lua; queue:<queue>
-- ARGV   now, queue, how many jobs it may hold
-- returns how many jobs there were; if that is more than it may hold, nothing was changed
--
-- Why this order: the number is read, and the rights to forget the queue are checked, before the jobs are removed.

now()
local LIST, queue, most = key(), arg(), tonumber(arg())
local length = must('LLEN', LIST)
if length > most then
  return length
end
must('SREM', QUEUES, '')
local counts = IDENTITY .. ':queues'
local count = may('HGET', counts, queue)
if type(count) == 'string' then
  may('HSET', counts, queue, count)
end
unlink(must, LIST)
must('SREM', QUEUES, queue)
-- The number of jobs that left stays until the sampler forgets the queue with its curve.
count_deleted(queue, LIST, length)
-- From now on the identities of these jobs are void (identity.lua), which takes one write for any number. Those of
-- delayed jobs stay.
local fields, emptied = string.match(type(count) == 'string' and count or '', '^(%d+) (%d+)$')
if fields then
  try('HSET', counts, queue, fields .. ' ' .. whole(math.max(seconds(), tonumber(emptied) + 1)))
end
return length

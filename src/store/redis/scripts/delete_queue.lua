-- delete_queue: removes a queue and its jobs.
--
-- KEYS   as places.lua; as departed.lua; queue:<queue>
-- ARGV   now, queue
-- returns how many jobs there were
--
-- Why this order: the number is read, and the rights to forget the queue are checked, before the jobs are removed.

now()
local LIST, queue = key(), arg()
local length = must('LLEN', LIST)
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

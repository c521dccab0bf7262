-- delete_queue: removes a queue and its jobs.
--
-- KEYS   queues, queue:<queue>
-- ARGV   now (unused), queue
-- returns how many jobs there were
--
-- Why this order: the number is read before the jobs go.

local QUEUES, LIST = key(), key()
local length = must('LLEN', LIST)
redis.call('DEL', LIST)
must('SREM', QUEUES, arg())
return length

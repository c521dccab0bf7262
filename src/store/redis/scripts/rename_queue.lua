-- rename_queue: moves jobs of a queue whose name is no text to the end of another queue, some at a time.
--
-- KEYS   queues, queue:<name>, queue:<to>
-- ARGV   now (unused), name, to, how many at most, after how many bytes no more are moved
-- returns {1 if the queue was known or had jobs, how many were moved, how many are left (as a number)}
--
-- Why this order: what can fail is checked before the first job is pushed, and the pushed jobs are removed by one call
-- that no server refuses after that. The other queue is made known first, because a known queue without jobs does no
-- harm.

needs_room = true
local QUEUES, FROM, TO = key(), key(), key()
local name, to, most, enough = arg(), arg(), tonumber(arg()), tonumber(arg())
local jobs = read_page(FROM, 0, most, false, enough, 1)
local known = must('SISMEMBER', QUEUES, name)
if #jobs > 0 then
  must('LLEN', TO)
  may('LTRIM', QUEUES, 0, -1)
  may('SREM', TO, '')
  must('SADD', QUEUES, to)
  must('RPUSH', TO, unpack(jobs))
  must('LTRIM', FROM, #jobs, -1)
  known = 1
end
local left = must('LLEN', FROM)
if left == 0 then
  must('SREM', QUEUES, name)
end
return { known, #jobs, left }

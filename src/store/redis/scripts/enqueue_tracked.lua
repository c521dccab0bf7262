-- enqueue_tracked: nowhere -> queue, for one job that has an id already: it is put on its queue with it.
--
-- KEYS   as places.lua; as departed.lua; the queue's list, windlass:track:<id>, then what the admissions read
-- ARGV   now, "RPUSH" or "LPUSH", queue, the job, its identity, its record (empty: its producer does not track it), for how
--        many ms that is kept, number of admissions, the admissions as in admit.lua
-- returns 0, or the number from 1 of the admission that refused it
--
-- Why this order: as in enqueue.lua. The identity is written before the job, because a job without it would run under another
-- id, and taken out again if the job cannot be put there. The record is last: nothing depends on it.

needs_room = true
local list, record = key(), key()
local push, queue, raw, identity, told, kept = arg(), arg(), arg(), arg(), arg(), arg()
now()
local refused, locks = admit(read_admissions())
if refused > 0 then
  return refused
end
if not try('SADD', QUEUES, queue) or not put_known(queue, raw, identity, seconds(), function()
  return try(push, list, raw)
end) then
  give_back(locks)
  error(broken[1])
end
if push == 'LPUSH' then
  doubt_all(queue, list, 1)
end
if told ~= '' then
  try('SET', record, told, 'PX', kept)
end
return 0

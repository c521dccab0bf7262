-- drop_entry: takes an entry out of the schedule whose key holds no list.
--
-- KEYS   delayed_queue_schedule, failed, delayed:<entry>
-- ARGV   now (unused), entry, the failure record that tells of it
-- returns 1 if it was taken out, 0 if its jobs can be read or somebody else was faster
--
-- Why this order: it is told before it goes. What stands at the key is not ours and stays.

local SCHEDULE, FAILED, LIST = key(), key(), key()
local entry, record = arg(), arg()
local readable = type(redis.pcall('LLEN', LIST)) == 'number'
if readable then
  return 0
end
must('RPUSH', FAILED, record)
local dropped = must('ZREM', SCHEDULE, entry)
if dropped == 0 then
  redis.call('LREM', FAILED, -1, record)
end
return dropped

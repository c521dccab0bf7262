-- drop_entry: takes an entry out of the schedule whose key holds no list.
--
-- KEYS   delayed_queue_schedule, failed, delayed:<entry>
-- ARGV   now (unused), entry, the failure record that tells of it
-- returns 1 if it was taken out, 0 if its jobs can be read or somebody else was faster
--
-- Why this order: it is told before it goes, and whether that can be taken back is asked before. What stands at the key is not ours and stays.

local SCHEDULE, FAILED, LIST = key(), key(), key()
local entry, record = arg(), arg()
local length = redis.pcall('LLEN', LIST)
if type(length) == 'number' then
  return 0
end
local message = named('LLEN', LIST, length.err)
if not string.find(message, '^CORRUPT') then
  -- Not being allowed to look proves nothing.
  error(message)
end
must('ZREM', SCHEDULE, '')
may('LREM', SCHEDULE, 0, '')
must('RPUSH', FAILED, record)
local dropped = must('ZREM', SCHEDULE, entry)
if dropped == 0 then
  try('LREM', FAILED, -1, record)
end
return dropped

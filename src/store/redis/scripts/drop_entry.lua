-- drop_entry: removes an entry of the schedule whose key holds no list.
--
-- KEYS   delayed_queue_schedule, failed, delayed:<entry>
-- ARGV   now (unused), entry, the failure record that tells of it
-- returns 1 if it was removed, 0 if its jobs can be read or another instance removed it
--
-- Why this order: the failure record is written before the entry is removed, and the right to remove that record is
-- checked before, because another instance may have been faster. The key itself is not ours and stays.

local SCHEDULE, FAILED, LIST = key(), key(), key()
local entry, record = arg(), arg()
local length = redis.pcall('LLEN', LIST)
if type(length) == 'number' then
  return 0
end
local message = named('LLEN', LIST, length.err)
if not string.find(message, '^CORRUPT') then
  -- A refused read does not prove that there is no list.
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

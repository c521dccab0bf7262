-- due: a read of the entry of the schedule that comes first and, if it is due or soon will be, of its first jobs.
--
-- KEYS   delayed_queue_schedule, the lock of resque-scheduler's leader, "delayed:". The key of the second's list is built from this prefix, because only the
--        script knows which second comes first.
-- ARGV   now, limit, how many ms before they are due jobs are read, number of entries that are passed over, their names
-- returns {now in ms, the entry or "", its score, {job, ...} as announce.lua tells them, what is wrong with the list or "",
--          the first entry that is due and names no whole second or "", the length of the list if it is due,
--          resque-scheduler's leader or "", when its lock lapses in ms or -1; both only for jobs that are due or were read}
--
-- Why this order: none; nothing is written. The score says when an entry is due and the name says
-- where its jobs stand, as node-resque and resque-scheduler read them. Enough entries are read for
-- one that is not passed over to be among them, if there is one.

local SCHEDULE, RUBY, DELAYED = key(), key(), key()
local limit, ahead, count, passed = tonumber(arg()), tonumber(arg()), tonumber(arg()), {}
for _ = 1, count do
  passed[arg()] = true
end
local entries = must('ZRANGE', SCHEDULE, 0, count, 'WITHSCORES')
local entry, score
for i = 1, #entries, 2 do
  if not passed[entries[i]] then
    entry, score = entries[i], entries[i + 1]
    break
  end
end
if not entry then
  return { whole(now()), '', '', {}, '', '', 0, '', '-1' }
end
local is_due = tonumber(score) * 1000 <= now()
-- A second is named by its number, written as whole numbers are.
local is_second = #entry <= 16 and (entry == '0' or string.find(entry, '^-?[1-9]%d*$'))
local ruby, ruby_until = '', -1
if is_due then
  ruby, ruby_until = ruby_leader(RUBY)
end
if is_due and not is_second then
  return { whole(now()), '', score, {}, '', entry, 0, ruby, whole(ruby_until) }
end
local jobs, wrong, length = {}, '', 0
if is_due then
  local counted = redis.pcall('LLEN', DELAYED .. entry)
  if type(counted) == 'number' then
    length = counted
    if limit > 0 then
      jobs = announce(read_page(DELAYED .. entry, 0, limit, false, ROOM))
    end
  elseif limit > 0 then
    local message = named('LLEN', DELAYED .. entry, counted.err)
    if string.find(message, '^REFUSED') and not string.find(message, 'access', 1, true) then
      -- The entry is not to blame for a right that is missing.
      error(message)
    end
    wrong = message
  end
elseif is_second and tonumber(entry) == tonumber(score) and tonumber(score) * 1000 <= now() + ahead then
  -- A list that cannot be read is named when it is due. An entry whose name and score differ is read when it is due.
  if type(redis.pcall('LLEN', DELAYED .. entry)) == 'number' then
    jobs = announce(read_page(DELAYED .. entry, 0, limit, false, ROOM))
    ruby, ruby_until = ruby_leader(RUBY)
  end
end
return { whole(now()), entry, score, jobs, wrong, '', length, ruby, whole(ruby_until) }

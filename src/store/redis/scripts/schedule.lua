-- schedule: nowhere -> delayed, for a batch of jobs, unless a job of the same bytes is due in the
-- same second.
--
-- KEYS   delayed_queue_schedule, "delayed:"; per job timestamps:<raw>, and delayed:<second> if it
--        is given. For "in" the second depends on the store's time, so the list's key is derived
--        from the declared prefix (see places.lua).
-- ARGV   now, number of jobs; per job: "A" and a second, or "I" and milliseconds from now; raw
-- returns per job its second, with a "=" before it if it was already due then
--
-- Why this order: the schedule's entry precedes the list, for an entry without list is tidied and a
-- list without entry is lost; the stamp, which refuses duplicates, comes when the job is there.

local SCHEDULE, DELAYED = key(), key()
local reply = {}
for i = 1, tonumber(arg()) do
  local stamps = key()
  local kind, value, raw = arg(), arg(), arg()
  local second, list
  if kind == 'A' then
    second, list = value, key()
  else
    second = whole(math.floor((now() + tonumber(value)) / 1000 + 0.5))
    list = DELAYED .. second
  end
  if must('SISMEMBER', stamps, 'delayed:' .. second) == 1 then
    reply[i] = '=' .. second
  else
    must('ZADD', SCHEDULE, second, second)
    must('RPUSH', list, raw)
    redis.call('SADD', stamps, 'delayed:' .. second)
    reply[i] = second
  end
end
return reply

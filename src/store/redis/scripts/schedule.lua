-- schedule: nowhere -> delayed, for a batch of jobs, unless a job of the same bytes is due in the
-- same second.
--
-- KEYS   delayed_queue_schedule, "delayed:"; per job timestamps:<raw>, and delayed:<second> if it
--        is given. For "in" the second depends on the store's time, so the list's key is derived
--        from the declared prefix (see places.lua).
-- ARGV   now, number of jobs; per job: "A" and a second, or "I" and milliseconds from now; raw; then "M" if the only job has
--        a mark: KEYS mark, ARGV its text before the second and behind it, for how many seconds it stands; else ""
-- returns per job its second, with a "=" before it if it was already due then, or "!" if its mark stands
--
-- Why this order: the schedule's entry is written before the list, because promotion removes an entry without a list,
-- and never finds a list without an entry. The stamp, which refuses duplicates, follows the job. What can fail is
-- checked before the first job is written, so that an error leaves none, and a client that schedules again doubles
-- nothing.

needs_room = true
local SCHEDULE, DELAYED = key(), key()
local jobs = {}
for i = 1, tonumber(arg()) do
  local job = { stamps = key() }
  local kind, value = arg(), arg()
  job.raw = arg()
  if kind == 'A' then
    job.second, job.list = value, key()
  else
    job.second = whole(math.floor((now() + tonumber(value)) / 1000 + 0.5))
    job.list = DELAYED .. job.second
  end
  jobs[i] = job
end
local MARK, before, after, lasts
if arg() == 'M' then
  MARK, before, after, lasts = key(), arg(), arg(), arg()
  if must('EXISTS', MARK) == 1 then
    return { '!' }
  end
end
if #jobs > 1 then
  for _, job in ipairs(jobs) do
    must('SCARD', job.stamps)
    must('LLEN', job.list)
  end
end
local reply, asked = {}, false
for i, job in ipairs(jobs) do
  if must('SISMEMBER', job.stamps, 'delayed:' .. job.second) == 1 then
    reply[i] = '=' .. job.second
  else
    local added = must('ZADD', SCHEDULE, job.second, job.second)
    if not asked then
      may('SADD', SCHEDULE, '')
      asked = true
    end
    -- The mark goes before the job: one without its job is removed here, and a job without its mark could be there twice.
    local marked = not MARK or try('SET', MARK, before .. job.second .. after, 'EX', lasts)
    if not marked or not try('RPUSH', job.list, job.raw) then
      if MARK and marked then
        remove(MARK)
      end
      if added == 1 then
        try('ZREM', SCHEDULE, job.second)
      end
      error(broken[1])
    end
    must('SADD', job.stamps, 'delayed:' .. job.second)
    reply[i] = job.second
  end
end
return reply

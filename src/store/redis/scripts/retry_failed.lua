-- retry_failed: failed -> queue, for some jobs, each judged and pushed on its own, in order.
--
-- KEYS   as places.lua; per job queue:<queue>; Retry's counter and last error if they follow; what the admissions read
-- ARGV   now, a mark that no record is, number of jobs; per job: the record's position or "", the record, queue, raw, who
--        the job is or "", "1" if Retry's keys follow, number of admissions, the admissions as in admit.lua
-- returns per job 0 retried, -1 the record is not there, else the number from 1 of the admission that refused it. It ends
--         before a job that the server refuses; if that is the first one, the script ends with its error.
--
-- Why this order: a record is looked up first and removed last, so that a refusal or an error leaves it where it was. The
-- rights to remove it are checked before a job is pushed, because otherwise both could stand.

local jobs = {}
for i = 1, tonumber(arg()) do
  local job = { list = key(), seen = tonumber(arg()), record = arg(), queue = arg(), raw = arg(), identity = arg() }
  if arg() == '1' then
    job.counter, job.failure = key(), key()
  end
  job.admissions = read_admissions()
  jobs[i] = job
end
may_take()
now()

local function retry(job)
  local at = find(job.seen, job.record)
  if not at then
    return -1
  end
  must('LLEN', job.list)
  must('SADD', QUEUES, job.queue)
  local refused, locks = admit(job.admissions)
  if refused ~= 0 then
    return refused
  end
  push_admitted(locks, 'RPUSH', job.list, job.raw)
  if not take_off(at, job.record) then
    -- It is still on the list, and must not stand on its queue as well.
    try('LREM', job.list, -1, job.raw)
    give_back(locks)
    error(broken[#broken])
  end
  -- Only what is off the list has an identity to be found, and is tried anew.
  if job.identity ~= '' then
    remember(job.queue, job.raw, job.identity, seconds())
  end
  if job.counter then
    try('DEL', job.counter, job.failure)
  end
  return 0
end

local reply, fault = {}, nil
for i, job in ipairs(jobs) do
  local done, outcome = pcall(retry, job)
  if not done then
    fault = outcome
    break
  end
  reply[i] = outcome
end
sweep()
if fault and not reply[1] then
  error(fault)
end
return reply

-- move_delayed: delayed -> delayed at another time, or nowhere, for some jobs of one second.
--
-- KEYS   as places.lua; delayed:<second>; per job timestamps:<raw>, and for "X" Retry's counter and last error if they
--        follow
-- ARGV   now, second, "N" (to the present second), "A" (to the second that follows) or "X" (nowhere), number of jobs; per
--        job: raw, the queue it names or "", and for "X" "1" if Retry's keys follow
-- returns how many moved
--
-- Why this order: types and rights are checked before the first job moves. Each job is written to its new second before
-- it leaves the old list, so that an error between leaves it twice rather than nowhere.

local LIST = key()
local second, kind = arg(), arg()
local target
if kind == 'N' then
  target = whole(seconds())
elseif kind == 'A' then
  now()
  target = arg()
end
must('LLEN', LIST)
may('LREM', LIST, 0, '')
may('LPOS', LIST, '')
must('ZREM', SCHEDULE, '')
local twins = TWINS .. second
local jobs, known = {}, {}
for i = 1, tonumber(arg()) do
  local job = { stamps = key(), raw = arg(), queue = arg() }
  if kind == 'X' and arg() == '1' then
    job.counter, job.failure = key(), key()
  end
  must('SCARD', job.stamps)
  if known[job.queue] == nil then
    known[job.queue] = has_entries(job.queue)
  end
  jobs[i] = job
end
local has_twins = must('EXISTS', twins) == 1
local moved = 0
for _, job in ipairs(jobs) do
  if target ~= second and try('LPOS', LIST, job.raw) then
    if target and not delay(target, job.raw, job.stamps) then
      break
    end
    must('LREM', LIST, 1, job.raw)
    moved = moved + 1
    local twin = has_twins and try('SISMEMBER', twins, job.raw) == 1
    if not twin or not try('LPOS', LIST, job.raw) then
      try('SREM', job.stamps, 'delayed:' .. second)
    end
    if known[job.queue] and target then
      entries(job.queue, job.raw, function(lines)
        for _, line in ipairs(lines) do
          if whole(line.due) == second then
            line.due = tonumber(target)
            return
          end
        end
      end)
    elseif known[job.queue] then
      forget_delayed(job.queue, job.raw, { [second] = 1 })
    end
    if job.counter and try('EXISTS', job.stamps) == 0 then
      try('DEL', job.counter, job.failure)
    end
  end
end
if try('EXISTS', LIST) == 0 then
  try('ZREM', SCHEDULE, second)
  unlink(try, twins)
end
if broken[1] and moved == 0 then
  error(broken[1])
end
return moved

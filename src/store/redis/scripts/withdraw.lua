-- withdraw: removes the queued and delayed copies of a periodic task, and its entry with the runs that are kept of it, or marks
-- the entry as stopped.
--
-- KEYS   as places.lua; as departed.lua; queue:<queue>; windlass:runs:<task>; per form timestamps:<raw>, Retry's counter and last error if they
--        follow; the locks
-- ARGV   now, task, queue, "1" to stop it, number of forms, for each its bytes and "1" if Retry's keys follow;
--        number of locks
-- returns the number of copies removed; below 0 if it is to be called again: -1 - that number
--
-- Why this order: every key's type is checked before the first copy is removed. The entry is written last, so that
-- after an error the task is still known and the step can be repeated.

now()
local LIST, RUNS = key(), key()
local task, queue, stops = arg(), arg(), arg() == '1'
local forms = {}
for i = 1, tonumber(arg()) do
  local form = { stamps = key(), raw = arg() }
  if arg() == '1' then
    form.counter, form.failure = key(), key()
  end
  form.seconds = stamped(form.stamps)
  forms[i] = form
end
local of_jobs = { locks = read_places() }
local entry = must('HGET', PERIODIC, task)
local removed = 0
local known = has_entries(queue)
for _, form in ipairs(forms) do
  local queued = must('LREM', LIST, 0, form.raw)
  count_deleted(queue, LIST, queued)
  if queued > 0 and known then
    forget_queued(queue, LIST, form.raw, queued)
  end
  free_with(of_jobs, queued)
  local gone = queued + #erase(form.stamps, form.raw, queue, form.seconds)
  if gone > 0 and form.counter then
    try('DEL', form.counter, form.failure)
  end
  removed = removed + gone
  if form.seconds.more then
    return -1 - removed
  end
end
if stops then
  local due, every, stopped, _, last = read_entry(entry)
  if stopped ~= '1' then
    keep_ran(task, last)
  end
  must('HSET', PERIODIC, task, (due or '0') .. ' ' .. (every or '0') .. ' 1 ' .. queue)
else
  remove(RUNS)
  keep_ran(task, nil)
  must('HDEL', PERIODIC, task)
end
return removed

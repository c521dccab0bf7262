-- Fragment: keeps the record of a run whose end was applied, and what its job led to. It is read also if it is not kept.
--
-- KEYS  windlass:runs:<task> or windlass:schedule_runs:<id>; windlass:result:<job> if a result is kept
-- ARGV  how many are kept (0: none), for how many ms the list stays without another one, the outcome, what follows it in the
--       record, for how many ms the result is kept or "" if it is not, and if it is what follows the outcome in its record
--
-- What is refused here is a finding and stops nothing, because how a job ended is worth more than the record of it.

local function read_run()
  local list, most, lasts, outcome, rest, kept = key(), arg(), arg(), arg(), arg(), arg()
  local run = { list = list, most = most, lasts = lasts, outcome = outcome, rest = rest }
  if kept ~= '' then
    run.kept, run.place, run.result = kept, key(), arg()
  end
  return run
end

-- After these the job runs again, so that they are not what it led to.
local AGAIN = { retried = true, later = true, cut_off = true }

-- `due` is the second for which it was due, if that is known here only.
local function keep_run(run, outcome, due)
  local told = due and ',"due_s":' .. due or ''
  local head = '{"outcome":"' .. outcome .. '"' .. told
  if run.most ~= '0' and try('RPUSH', run.list, head .. run.rest) then
    try('LTRIM', run.list, '-' .. run.most, '-1')
    try('PEXPIRE', run.list, run.lasts)
  end
  if run.kept and not AGAIN[outcome] then
    try('SET', run.place, head .. run.result, 'PX', run.kept)
  end
end

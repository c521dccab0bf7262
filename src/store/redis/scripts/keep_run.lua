-- Fragment: keeps the record of a run whose end was applied. It is read also if it is not kept.
--
-- KEYS  windlass:runs:<task> or windlass:schedule_runs:<id>
-- ARGV  how many are kept, for how many ms the list stays without another one, the outcome, what follows it in the record
--
-- What is refused here is a finding and stops nothing, because how a job ended is worth more than the record of it.

local function read_run()
  local list, most, lasts, outcome, rest = key(), arg(), arg(), arg(), arg()
  return { list = list, most = most, lasts = lasts, outcome = outcome, rest = rest }
end

-- `due` is the second for which it was due, if that is known here only.
local function keep_run(run, outcome, due)
  local told = due and ',"due_s":' .. due or ''
  if try('RPUSH', run.list, '{"outcome":"' .. outcome .. '"' .. told .. run.rest) then
    try('LTRIM', run.list, '-' .. run.most, '-1')
    try('PEXPIRE', run.list, run.lasts)
  end
end

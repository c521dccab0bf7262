-- Fragment: keeps the record of a run whose end was applied.
--
-- KEYS  windlass:runs:<task> or windlass:schedule_runs:<id>
-- ARGV  how many are kept, for how many ms the list stays without another one, the outcome, what follows it in the record
--
-- What is refused here is a finding and stops nothing, because how a job ended is worth more than the record of it.

local function keep_run(ended, repeats)
  local list, most, lasts, outcome, rest = key(), arg(), arg(), arg(), arg()
  if ended and try('RPUSH', list, '{"outcome":"' .. (repeats and 'retried' or outcome) .. '"' .. rest) then
    try('LTRIM', list, '-' .. most, '-1')
    try('PEXPIRE', list, lasts)
  end
end

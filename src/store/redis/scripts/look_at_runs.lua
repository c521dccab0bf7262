-- look_at_runs: what is shown of runs, and how far they are.
--
-- KEYS   of each run windlass:progress:<instance>, and windlass:tail:<claim> if what is shown is asked for
-- ARGV   now (unused), how long a record is at most, "1" if what is shown is asked for, the number of runs, of each its claim
-- returns of each run its record and its progress, each "" if there is none, or one that is too long
--
-- Why this order: none; nothing is written. A key of another type holds nothing.

local longest, asked, seen = tonumber(arg()), arg() == '1', {}
for _ = 1, tonumber(arg()) do
  local progress = redis.pcall('HGET', key(), arg())
  local shown = asked and redis.pcall('GETRANGE', key(), 0, whole(longest))
  for _, found in ipairs({ shown or '', progress or '' }) do
    seen[#seen + 1] = type(found) == 'string' and #found <= longest and found or ''
  end
end
return seen

-- look_at_runs: what is shown of runs, and how far they are.
--
-- KEYS   of each run windlass:tail:<claim> and windlass:progress:<instance>
-- ARGV   now (unused), how long a record is at most, the number of runs, of each its claim
-- returns of each run its record and its progress, each "" if there is none, or one that is too long
--
-- Why this order: none; nothing is written. A key of another type holds nothing.

local longest, seen = tonumber(arg()), {}
for _ = 1, tonumber(arg()) do
  local shown = redis.pcall('GETRANGE', key(), 0, whole(longest))
  local progress = redis.pcall('HGET', key(), arg())
  for _, found in ipairs({ shown, progress or '' }) do
    seen[#seen + 1] = type(found) == 'string' and #found <= longest and found or ''
  end
end
return seen

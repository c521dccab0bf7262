-- show_runs: what an instance shows of its runs to those who watch them; wishes to watch that were not renewed go.
--
-- KEYS   windlass:wishes:<instance>, windlass:tail:<claim> of each run
-- ARGV   now (unused), how many wishes are returned at most, for how many ms a record stays, the number of runs, of each its
--        record, the number of wishes that go, and their names
-- returns the wishes that stand: name and wish in turns, as wishes.lua reads them
--
-- Why this order: none; no state depends on it.

local WISHES, most, kept = key(), arg(), arg()
for _ = 1, tonumber(arg()) do
  must('SET', key(), arg(), 'PX', kept)
end
for _ = 1, tonumber(arg()) do
  try('HDEL', WISHES, arg())
end
return read_wishes(WISHES, tonumber(most))

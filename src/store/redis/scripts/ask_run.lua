-- ask_run: a wish about a run is left for its instance, if the claim still stands.
--
-- KEYS   worker:<id>, windlass:wishes:<instance>
-- ARGV   now (unused), the claim, the name of the wish, the wish, for how many milliseconds it is kept, below how many wishes it is
--        left if it replaces none (0: in any case)
-- returns 1 if it was left, 0 if the worker does not have the claim, 2 if too many wishes stand
--
-- Why this order: the claim is compared in the step, so that no wish is left for a run that has ended. A wish that cannot
-- lapse is removed with its instance.

local WORKING, WISHES = key(), key()
local claim, name, wish, kept, most = arg(), arg(), arg(), arg(), tonumber(arg())
local record, opening = must('GET', WORKING), '{"claim":"' .. claim .. '"'
if not record or string.sub(record, 1, #opening) ~= opening then
  return 0
end
if most > 0 and must('HLEN', WISHES) >= most and must('HEXISTS', WISHES, name) == 0 then
  return 2
end
must('HSET', WISHES, name, wish)
try('PEXPIRE', WISHES, kept)
return 1

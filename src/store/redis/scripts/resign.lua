-- resign: gives a leadership back, if one holds it.
--
-- KEYS   the lock
-- ARGV   now (unused), owner
-- returns 1 if it was given back
--
-- Why this order: compare and delete are one step, so that nobody deletes another's lock.

local lock, owner = key(), arg()
if must('GET', lock) == owner then
  return must('DEL', lock)
end
return 0

-- resign: gives up a leadership, if the owner holds it.
--
-- KEYS   the lock
-- ARGV   now (unused), owner
-- returns 1 if it was given up
--
-- Why this order: compare and delete are one step, so that no owner deletes the lock of another.

local lock, owner = key(), arg()
if must('GET', lock) == owner then
  if not remove(lock) then
    error(broken[#broken])
  end
  return 1
end
return 0

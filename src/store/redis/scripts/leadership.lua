-- Fragment: takes a free leadership or renews one's own; 1 if the owner leads, 0 if another does.
--
-- Compare and renew are one step, so that no owner prolongs the lock of another.

local function lead(lock, owner, ttl)
  local holder = must('GET', lock)
  if not holder then
    must('SET', lock, owner, 'PX', ttl)
    return 1
  end
  if holder == owner then
    must('PEXPIRE', lock, ttl)
    return 1
  end
  return 0
end

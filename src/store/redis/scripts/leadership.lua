-- Fragment: takes a free leadership or renews one's own; 1 if the owner leads, 0 if another does.
--
-- Compare and renew are one step, so that no owner prolongs the lock of another. A lock of another owner that
-- lives longer than `longest` (in ms), or for ever, was not taken by this clock: it is void. Who read the holder in this step
-- passes it as `seen`.

local function lead(lock, owner, ttl, longest, seen)
  local holder = seen or must('GET', lock)
  if holder and holder ~= owner then
    local left = redis.pcall('PTTL', lock)
    -- Where that may not be asked, every lock is believed.
    if type(left) == 'number' and (left < 0 or left > longest()) then
      holder = nil
    end
  end
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

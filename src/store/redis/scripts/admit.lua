-- Fragment: conditions on an enqueue. All are judged before any lock is taken, so that a refused
-- enqueue writes nothing.
--
-- per admission  "T" KEYS lock, ARGV ttl   refuse while QueueLock is held, else take it
--                "N" KEYS timestamps:<raw> refuse while a job of these bytes is delayed
-- returns the number of the refusing admission from 1, or 0

local function admit(admissions)
  local refused, locks = 0, {}
  for i = 1, admissions do
    local kind, place = arg(), key()
    if kind == 'T' then
      local ttl = tonumber(arg())
      if refused == 0 then
        if is_free(place) then
          locks[#locks + 1] = { place, ttl }
        else
          refused = i
        end
      end
    elseif refused == 0 and redis.call('EXISTS', place) == 1 then
      refused = i
    end
  end
  if refused == 0 then
    for _, lock in ipairs(locks) do
      take(lock[1], lock[2])
    end
  end
  return refused
end

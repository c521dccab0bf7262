-- Fragment: conditions on an enqueue. All are checked before any lock is taken, so that a refused enqueue writes
-- nothing.
--
-- ARGV per job        number of admissions
-- per admission  "T" KEYS lock, ARGV ttl   refuse while QueueLock is held, else take it
--                "N" KEYS timestamps:<raw> refuse while a job of these bytes is delayed
--                "R" KEYS timestamps:<raw>, Retry's counter
--                                          refuse while a job of these bytes is delayed for its next attempt
--                "O" KEYS mark, ARGV text, seconds
--                                          refuse while the mark stands, else write it

local function read_admissions()
  local admissions = {}
  for i = 1, tonumber(arg()) do
    local kind, place = arg(), key()
    admissions[i] = { place, kind == 'T' and tonumber(arg()), kind == 'R' and key() }
    if kind == 'O' then
      admissions[i].mark, admissions[i].lasts = arg(), arg()
    end
  end
  return admissions
end

-- Frees locks and marks that were taken for a job which then could not be pushed.
local function give_back(locks)
  for _, place in ipairs(locks) do
    remove(place)
  end
end

-- The number of the refusing admission from 1, or 0; and the locks that were taken.
local function admit(admissions)
  local locks = {}
  for i, admission in ipairs(admissions) do
    local place, ttl, counter = admission[1], admission[2], admission[3]
    local stands = not ttl and must('EXISTS', place) == 1 and (not counter or must('EXISTS', counter) == 1)
    if stands or ttl and not is_free(place) then
      return i, locks
    end
  end
  for _, admission in ipairs(admissions) do
    local place, ttl = admission[1], admission[2]
    local mark = admission.mark
    if ttl or mark then
      if not (ttl and take(place, ttl) or mark and try('SET', place, mark, 'EX', admission.lasts)) then
        give_back(locks)
        error(broken[1])
      end
      locks[#locks + 1] = place
    end
  end
  return 0, locks
end

-- Pushes jobs that were admitted. If they cannot be pushed, their locks are freed.
local function push_admitted(locks, push, list, ...)
  if not try(push, list, ...) then
    give_back(locks)
    error(broken[1])
  end
end

-- rejoin: registers an instance again in a store that was emptied, with the working records of its jobs.
--
-- KEYS   windlass:birth, windlass:instances, windlass:leases, windlass:names, windlass:lane:<id>, workers; per worker as
--        in members.lua; the working records of the jobs; each lock and its shadow (locks.lua)
-- ARGV   now, id, name, record, the mark of the store that was lost, the mark for a store without one; number of
--        workers; per worker as in members.lua; number of lanes; per lane its number and its last sequence; number of
--        jobs; per job its record; number of locks; per lock its claim, the key of that claim's record and for how many
--        seconds it is held
-- returns {"B"} if the mark is the one that was lost, {"N"} if another instance holds the name (nothing is written), else
--         {"Y", mark, {lost locks}}
--
-- Why this order: the mark and the name are compared, and every key's type is checked, before the first write. The
-- registration is written last, and where it stands nothing but the reply is made: a repetition must not bring back the
-- record of a job that was settled since. The lanes begin at the last exchange that was answered, so that one whose
-- answer was lost is applied when it is repeated.

local BIRTH, INSTANCES, LEASES, NAMES, LANE, WORKERS = key(), key(), key(), key(), key(), key()
local id, name, record, lost, birth = arg(), arg(), arg(), arg(), arg()
local mark = must('GET', BIRTH)
if mark == lost then
  return { 'B' }
end
local stands = must('HEXISTS', LEASES, id) == 1
local holder = must('HGET', NAMES, name)
if not stands and holder and holder ~= id then
  return { 'N' }
end
must('HDEL', INSTANCES, '')
must('HDEL', LANE, '')
must('SCARD', WORKERS)

local list, lanes, jobs = {}, {}, {}
for i = 1, tonumber(arg()) do
  list[i] = member()
end
for i = 1, 2 * tonumber(arg()) do
  lanes[i] = arg()
end
for i = 1, tonumber(arg()) do
  jobs[2 * i - 1], jobs[2 * i] = key(), arg()
end
if not stands then
  for i = 1, #jobs, 2 do
    must('SET', jobs[i], jobs[i + 1], 'NX')
  end
  for _, worker in ipairs(list) do
    must('SET', worker.ping, ping(worker))
    enrol(must, WORKERS, worker)
  end
  for i = 1, #lanes, 2 do
    must('HSET', LANE, lanes[i], lanes[i + 1])
  end
end
local gone = {}
for i = 1, tonumber(arg()) do
  local lock, shadow, token, place, ttl = key(), key(), arg(), arg(), tonumber(arg())
  if not stands and not outlives(redis.pcall('GET', shadow), token)
    and try('SET', lock, owned_until(ttl, token), 'EX', whole(math.max(ttl, 1)), 'NX') then
    try('SET', shadow, shadow_of(ttl, token, place), 'EX', whole(ttl + SHADOW_S))
  end
  if not carries(redis.pcall('GET', lock), token) then
    gone[#gone + 1] = i - 1
  end
end
if not stands then
  mark = mark or birth
  must('SET', BIRTH, mark)
  must('HSET', INSTANCES, id, record)
  must('HSET', NAMES, name, id)
  must('HSET', LEASES, id, '1')
end
return { 'Y', mark or '', gone }

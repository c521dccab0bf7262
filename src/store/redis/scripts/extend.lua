-- extend: one more step of the lease, pings for all workers, locks of running jobs renewed.
--
-- KEYS   windlass:instances, windlass:leases, workers; per worker as in members.lua; the locks
-- ARGV   now, id, record, number of workers; per worker as in members.lua; number of locks; per
--        lock its claim and for how many seconds it is held
-- returns {1} if the registration is gone (nothing is written), else {0, {vanished}, {lost locks}}
--
-- Why this order: whether a worker was force-cleaned is seen by its missing membership or ping,
-- which must therefore be read before both are written again.

local INSTANCES, LEASES, WORKERS = key(), key(), key()
local id, record = arg(), arg()
if must('HEXISTS', INSTANCES, id) == 0 then
  return { 1 }
end
redis.call('HSET', INSTANCES, id, record)
must('HINCRBY', LEASES, id, 1)

local count = tonumber(arg())
local list, standing = members(count)
local pings = {}
for i = 1, count do
  pings[i] = list[i].ping
end
local pinged = chunked('MGET', pings, count)
local vanished, writes = {}, {}
for i = 1, count do
  local worker = list[i]
  if not pinged[i] or must('SISMEMBER', WORKERS, worker.id) == 0 then
    vanished[#vanished + 1] = i - 1
    enrol(WORKERS, worker)
    if claimed_by(id, standing[i]) then
      redis.call('DEL', worker.working)
    end
  end
  writes[2 * i - 1] = worker.ping
  writes[2 * i] = ping(worker)
end
chunked('MSET', writes, 2 * count)

local lost = {}
for i = 1, tonumber(arg()) do
  local lock, token, ttl = key(), arg(), tonumber(arg())
  if carries(redis.pcall('GET', lock), token) then
    redis.call('SET', lock, owned_until(ttl, token), 'EX', whole(math.max(ttl, 1)))
  else
    lost[#lost + 1] = i - 1
  end
end
return { 0, vanished, lost }

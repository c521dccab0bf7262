-- extend: one more step of the lease, pings for the workers given, locks of running jobs renewed, what ran counted.
--
-- KEYS   windlass:instances, windlass:leases, windlass:birth, workers; per worker as in members.lua; the pings of workers
--        that are only pinged, and windlass:beat:<id>:0 or :1, which is written as a ping is; each lock and its shadow (locks.lua); if the mark is to be read windlass:wishes:<id> and
--        windlass:progress:<id>; with counts windlass:lane:<id> and "windlass:h", a prefix (history.lua)
-- ARGV   now, id, record or "" if it need not be compared, "1" if the instances are to be counted, "1" if the mark is to be read,
--        number of workers; per worker as in members.lua; number of those only pinged; of each its ping from the name on;
--        number of locks; per lock its claim and for how many seconds it is held; if the mark is to be read how many
--        wishes are returned at most, the number of wishes that are done with, and their names, for how many ms progress is
--        kept, how many runs made some, of each its claim and the progress or "" if it is gone; counts of what ran, if there
--        are any (history.lua)
-- returns {1, mark} if the registration is gone (nothing is written), else {0, mark, {removed}, {lost locks}, {deleted
--         locks}, instances, {index, record, ...}, errors, now in ms, {name, wish, ...} as
--         wishes.lua reads them, with counts the last batch taken},
--         the seventh for removed workers under which a record of ours stands;
--         the mark is the store's birth mark, "" if it has none, it cannot be read or was not to be read
--
-- The counter alone says that the instance lives, the record alone how it is found when it is dead. Any program may remove
-- or overwrite one of them, so that each is written again where the other stands: burial removes both in one step.
--
-- An error of the rest (pings, a lock, counts) does not end the step. The lease is extended, because otherwise running jobs
-- would be ended, and the errors are returned.
--
-- Why this order: a worker that was force-cleaned has no membership or no ping, so that both are read before they are
-- written again. If it has a working record they are not written: only the failed list tells whether its claim is lost
-- (removed.rs), and until that is known the next step must see the same.

local INSTANCES, LEASES, BIRTH, WORKERS = key(), key(), key(), key()
local id, record, census, looks = arg(), arg(), arg() == '1', arg() == '1'
-- A registration has a counter. One that begins here belongs to none, unless the record stands: then it was lost, and
-- begins with the time, so that anyone who watches it sees another value each time it is lost.
local function begins_anew()
  if try('HEXISTS', INSTANCES, id) ~= 1 then
    return false
  end
  must('HSET', LEASES, id, whole(can_tell_time() and math.min(math.max(now(), 1), MOST_BEATS) or 1))
  return true
end
local counter = try('HINCRBY', LEASES, id, 1)
if counter == 1 then
  if not begins_anew() then
    if not try('HDEL', LEASES, id) then
      -- It must not count on, or the next step would find a registration.
      must('HINCRBY', LEASES, id, -1)
    end
    return { 1, try('GET', BIRTH) or '' }
  end
elseif not counter then
  -- The lease does not depend on the right to one command, or on what another program wrote in place of the counter,
  -- because without the lease the running jobs would be ended.
  counter = must('HGET', LEASES, id)
  if counter then
    must('HSET', LEASES, id, whole(math.max(tonumber(counter_of(counter)), 1) + 1))
  elseif not begins_anew() then
    return { 1, try('GET', BIRTH) or '' }
  end
elseif counter < 1 or counter > MOST_BEATS then
  must('HSET', LEASES, id, '2')
end
local mark = looks and try('GET', BIRTH)
-- An earlier version joined without a mark.
if looks and mark == false and try('SET', BIRTH, id) then
  mark = id
end
mark = mark or ''
if not can_tell_time() then
  return { 0, mark, {}, {}, {}, 0, {}, broken, '' }
end
if record ~= '' and redis.pcall('HGET', INSTANCES, id) ~= record then
  try('HSET', INSTANCES, id, record)
end

local list, places, ids = {}, {}, {}
local count = tonumber(arg())
for i = 1, count do
  list[i] = member()
  places[i], ids[i] = list[i].ping, list[i].id
end
local pinged = try_chunked('MGET', places, count)
local enrolled = {}
for from = 1, count, CHUNK do
  local to = math.min(from + CHUNK - 1, count)
  local part = try('SMISMEMBER', WORKERS, unpack(ids, from, to))
  for i = from, to do
    enrolled[i] = not part or part[i - from + 1] == 1
  end
end
local removed, left, writes = {}, {}, {}
for i = 1, count do
  local worker = list[i]
  local gone = pinged and not pinged[i] or not enrolled[i]
  local standing = gone and redis.pcall('GET', worker.working)
  local refusal = type(standing) == 'table' and named('GET', worker.working, standing.err) or ''
  if string.find(refusal, '^REFUSED') then
    -- A later step must see that it was removed, and whether its claim is lost.
    broken[#broken + 1] = refusal
  elseif type(standing) == 'string' and claimed_by(id, standing) then
    left[#left + 1] = i - 1
    left[#left + 1] = standing
  else
    if gone then
      removed[#removed + 1] = i - 1
      enrol(try, WORKERS, worker)
    end
    writes[#writes + 1] = worker.ping
    writes[#writes + 1] = ping(worker)
  end
end
for _ = 1, tonumber(arg()) do
  writes[#writes + 1] = key()
  writes[#writes + 1] = ping({ tail = arg() })
end
try_chunked('MSET', writes, #writes)

local lost, deleted = {}, {}
for i = 1, tonumber(arg()) do
  local lock, shadow, token, ttl = key(), key(), arg(), tonumber(arg())
  local value = redis.pcall('GET', lock)
  local ends, owner, worker = read_shadow(redis.pcall('GET', shadow))
  local ours = owner == token
  -- A lock that may not be read is not known to be lost.
  local unknown = type(value) == 'table' and string.find(named('GET', lock, value.err), '^REFUSED')
  -- A lock that lapsed although its run goes on is held on. One that ended with its run has no shadow.
  local lapsed = value == false and ours and seconds() >= tonumber(ends)
  if carries(value, token) or lapsed then
    try('SET', lock, owned_until(ttl, token), 'EX', whole(math.max(ttl, 1)))
    if ours then
      try('SET', shadow, shadow_of(ttl, token, worker), 'EX', whole(ttl + SHADOW_S))
    end
  elseif value and not unknown then
    lost[#lost + 1] = i - 1
  elseif value == false and ours then
    deleted[#deleted + 1] = i - 1
  end
end
local wishes = {}
if looks then
  local WISHES, most, over = key(), arg(), {}
  for i = 1, tonumber(arg()) do
    over[i] = arg()
  end
  for from = 1, #over, CHUNK do
    try('HDEL', WISHES, unpack(over, from, math.min(from + CHUNK - 1, #over)))
  end
  wishes = read_wishes(WISHES, tonumber(most))
  local PROGRESS, kept, told = key(), arg(), tonumber(arg())
  for _ = 1, told do
    local claim, progress = arg(), arg()
    if progress == '' then
      try('HDEL', PROGRESS, claim)
    else
      try('HSET', PROGRESS, claim, progress)
    end
  end
  if told > 0 then
    try('PEXPIRE', PROGRESS, kept)
  end
end
local instances = census and try('HLEN', LEASES) or 0
-- After all that the lease and the jobs depend on.
local taken
if ARGV[a + 1] then
  taken = take_counts(key(), key())
end
return { 0, mark, removed, lost, deleted, instances, left, broken, whole(now()), wishes, taken }

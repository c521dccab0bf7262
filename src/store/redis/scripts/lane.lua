-- exchange, 1 of 4: the sequence gate. An exchange whose reply was lost is repeated as it stands;
-- it must apply nothing twice and must be answered as the first time.
--
-- KEYS   as places.lua; windlass:lane:<instance>; windlass:paused; pause-all-workers; then in blocks: the working records of
--        settlements, of enters, of idle workers; the queues; then what settle and enter read
-- ARGV   now, lane, sequence, number of settlements, of enters, of idle workers, of queues,
--        "queue:" prefix's length, head of our records up to the index, their run_at member;
--        then in blocks: the openings `{"claim":"<token>"` of settlements and of enters, the
--        record pieces of idle workers, those of queues; the settlements' ops as one string;
--        then what settle and enter read
-- returns {"G"} the lane is not (or no longer) there: the instance was buried, nothing is applied
--         {"S", last} an exchange of before: nothing is applied
--         ("entered" below is what became of the enters and, behind a ";", attempts to be repeated)
--         {"R", lost, entered, index, record, ...} a repetition
--         {"A", lost, entered, broken keys, skipped queues, runs, indexes, identities, job, ...}
--
-- Why this order: the gate's write is the first write, so that a full store refuses the exchange
-- before anything is changed; after it nothing raises an error, for what is applied halfway
-- could be neither repeated nor undone.

local LANE, PAUSED, PAUSE_ALL = key(), key(), key()
local lane, sequence = arg(), tonumber(arg())
local settlements, enters, idle, queues = tonumber(arg()), tonumber(arg()), tonumber(arg()), tonumber(arg())
local queue_at, head, run_at = tonumber(arg()) + 1, arg(), arg()

local ends_at = k
local idle_at = k + settlements + enters
local queues_at = idle_at + idle
k = queues_at + queues
local claims_at = a
local workers_at = a + settlements + enters
local pieces_at = workers_at + idle
a = pieces_at + queues

local gate = redis.call('HGET', LANE, lane)
if not gate then
  return { 'G' }
end
local last, last_lost, last_entered = string.match(gate, '^(%d+)\n?([^\n]*)\n?([^\n]*)')
if sequence < tonumber(last) then
  return { 'S', last }
end

-- KEYS from + 1 to from + count, read in one go.
local function records(from, count)
  if count == 0 then
    return {}
  end
  if count <= CHUNK then
    return redis.call('MGET', unpack(KEYS, from + 1, from + count))
  end
  local places = {}
  for i = 1, count do
    places[i] = KEYS[from + i]
  end
  return chunked('MGET', places, count)
end

if sequence == tonumber(last) then
  local reply = { 'R', last_lost, last_entered }
  local standing = records(idle_at, idle)
  for i = 1, idle do
    local opening = head .. (i - 1) .. '"'
    if standing[i] and string.sub(standing[i], 1, #opening) == opening then
      reply[#reply + 1] = i - 1
      reply[#reply + 1] = standing[i]
    end
  end
  return reply
end

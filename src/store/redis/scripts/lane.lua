-- exchange, 1 of 4: the sequence gate. The caller repeats an exchange whose reply was lost. The repetition must apply
-- nothing twice and get the answer of the first.
--
-- KEYS   as places.lua; windlass:lane:<instance>; windlass:paused; pause-all-workers; the working records of all
--        workers that take part, the idle ones first; the queues; then what settle and enter read
-- ARGV   now, lane, sequence, number of settlements, of enters, of workers, of idle ones, of queues, of heads, among
--        how many instances the jobs are shared, about how many bytes of jobs are claimed, how many jobs are popped at
--        once, behind which argument lend.lua reads (0 if nothing is lent), "queue:" prefix's length, head of our records up to the index, their
--        run_at member; then in blocks: the pieces `<index>","worker":"<name>"` of idle workers; the pieces of queues;
--        the heads; the settlements and the enters as one string each; then what settle and enter read
-- returns {"G"} the lane is not (or no longer) there, or cannot be read: the instance was buried, nothing is applied
--         {"S", last} an exchange of before: nothing is applied
--         ("entered" below is what became of the enters and, behind a ";", attempts to be repeated)
--         {"R", lost, entered, index, record, ...} a repetition; the length of a record that does not fit (claim.lua)
--         {"A", lost, entered, errors, runs, indexes, identities, job, ...}
--         ("runs" end with a "+" if jobs may have been left because of their bytes)
--         ("indexes" are, behind a ";", the idle workers under which a record stands)
--         ("lost" are the settlements that were not applied: the number of one whose claim was lost, and with a "!"
--         before it of one that could not be recorded, so that its claim still stands)
--
-- A head is how a working record begins while its claim stands: a settlement with that head owns the claim. All claims
-- of one exchange share a head, because the worker determines what follows it in the record.
--
-- Why this order: the gate's write is the first write. If it is refused nothing was changed, and the exchange can be
-- repeated. After it nothing raises an error, because what is applied halfway could be neither repeated nor undone:
-- every call is a `try` or a `pcall`, and what the store refuses (a key of another type, a right that was taken away)
-- leaves its job where it was.

local LANE, PAUSED, PAUSE_ALL = key(), key(), key()
local lane, sequence = arg(), tonumber(arg())
local settlements, enters, workers, idle = tonumber(arg()), tonumber(arg()), tonumber(arg()), tonumber(arg())
local queues, heads, share = tonumber(arg()), tonumber(arg()), tonumber(arg())
local room, step, loans_at = tonumber(arg()), tonumber(arg()), tonumber(arg())
local queue_at, head, run_at = tonumber(arg()) + 1, arg(), arg()

local workers_at = k
local queues_at = workers_at + workers
k = queues_at + queues
local pieces_at = a
local queue_pieces_at = pieces_at + idle
local heads_at = queue_pieces_at + queues
a = heads_at + heads

local gate = redis.pcall('HGET', LANE, lane)
if type(gate) == 'table' then
  local message = named('HGET', LANE, gate.err)
  if not string.find(message, '^CORRUPT') then
    error(message)
  end
  gate = nil
end
if not gate then
  return { 'G' }
end
local last, last_lost, last_entered = string.match(gate, '^(%d+)\n?([^\n]*)\n?([^\n]*)')
-- If the sequence cannot be read it is unknown what was applied, so that the instance must join again.
if not last then
  return { 'G' }
end
if sequence < tonumber(last) then
  return { 'S', last }
end

-- What stands under each worker, by its position.
local standing = {}
if workers > 0 and workers <= CHUNK then
  standing = must('MGET', unpack(KEYS, workers_at + 1, workers_at + workers))
elseif workers > 0 then
  local places = {}
  for i = 1, workers do
    places[i] = KEYS[workers_at + i]
  end
  standing = chunked('MGET', places, workers)
end

if sequence == tonumber(last) then
  local reply, held = { 'R', last_lost, last_entered }, 0
  for i = 1, idle do
    local record = standing[i]
    if record and string.sub(record, 1, #head) == head then
      held = held + #record
      reply[#reply + 1] = i - 1
      reply[#reply + 1] = held <= 2 * room and record or #record
    end
  end
  return reply
end

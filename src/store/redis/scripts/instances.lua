-- instances: reads registrations and lease counters at one moment, and takes or renews the leadership of the duties.
--
-- KEYS   windlass:instances, windlass:leases; the lock
-- ARGV   now (unused), an id or "", owner or "" for a read alone, ttl in ms
-- returns {1 if the owner leads, id, record, counter, ...}; if the instance of that id is the only one, its record is not
--         read, and "" stands in its place
--
-- Why this order: all is read before the leadership is taken, because an instance that cannot read must not lead.

local INSTANCES, LEASES = key(), key()
local alone, owner = arg(), arg()
local beats, counters = must('HGETALL', LEASES), {}
local is_alone = #beats == 2 and beats[1] == alone
local records = is_alone and { alone, '' } or must('HGETALL', INSTANCES)
for i = 1, #beats, 2 do
  counters[beats[i]] = beats[i + 1]
end

-- Each instance takes the leadership for as long as its own lease.
local function longest_lease(ttl)
  local longest = tonumber(ttl)
  for i = 2, #records, 2 do
    longest = math.max(longest, tonumber(string.match(records[i], '"lease_ms":(%d+)')) or 0)
  end
  return longest
end

local reply = { 0 }
if owner ~= '' then
  local lock, ttl = key(), arg()
  reply[1] = lead(lock, owner, ttl, function()
    return longest_lease(ttl)
  end)
end
for i = 1, #records, 2 do
  local at = #reply
  reply[at + 1] = records[i]
  reply[at + 2] = records[i + 1]
  reply[at + 3] = counter_of(counters[records[i]]) or '0'
end
return reply

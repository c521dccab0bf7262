-- instances: reads registrations and lease counters at one moment, and takes or renews the leadership of the duties, and
-- another one.
--
-- KEYS   windlass:instances, windlass:leases; the lock; another lock
-- ARGV   now (unused), an id or "", owner or "" for a read alone, ttl in ms, "1" with another lock and then as lead.lua
-- returns {1 if the owner leads, 1 or 0 for the other lock or -1, id, record, counter, ...}; if the instance of that id is the
--         only one, its record is not read, and "" stands in its place
--
-- Why this order: all is read before the leadership is taken, because an instance that cannot read must not lead. The other
-- one comes last, and its error is left to a call for it alone.

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

local reply = { 0, -1 }
if owner ~= '' then
  local lock, ttl, both = key(), arg(), arg() == '1'
  local other = both and key()
  local seen = both and redis.pcall('MGET', lock, other) or {}
  reply[1] = lead(lock, owner, ttl, function()
    return longest_lease(ttl)
  end, seen[1])
  if both then
    local candidate, other_ttl, longest = arg(), arg(), tonumber(arg())
    local done, leads = pcall(lead, other, candidate, other_ttl, function()
      return longest
    end, seen[2])
    reply[2] = done and leads or -1
  end
end
for i = 1, #records, 2 do
  local at = #reply
  reply[at + 1] = records[i]
  reply[at + 2] = records[i + 1]
  reply[at + 3] = counter_of(counters[records[i]]) or '0'
end
return reply

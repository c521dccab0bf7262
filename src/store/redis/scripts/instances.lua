-- instances: reads registrations and lease counters at one moment, and takes or renews the leadership of the duties, and
-- another one.
--
-- KEYS   windlass:instances, windlass:leases; the lock; another lock
-- ARGV   now (unused), an id or "", owner or "" for a read alone, ttl in ms, "1" with another lock and then as lead.lua
-- returns {1 if the owner leads, 1 or 0 for the other lock or -1, id, record, counter, ..., "+" if others were left unread}; if
--         the instance of that id is the only one with a lease, its record is not read, and "" stands in its place
--
-- Why this order: all is read before the leadership is taken, because an instance that cannot read must not lead. The other
-- one comes last, and its error is left to a call for it alone.

local INSTANCES, LEASES = key(), key()
local alone, owner = arg(), arg()
-- Anybody who writes to the store can register any number of instances, with records of any length. Of more than these no more
-- are read, some at a time, until the dead among them are buried; one that is too long is empty.
local MOST, FEW, PAGE, LONGEST, ENOUGH = 10000, 32, 100, 1048576, 33554432

local is_left = false

local function read_records()
  if must('HLEN', INSTANCES) <= FEW then
    local all = must('HGETALL', INSTANCES)
    for i = 2, #all, 2 do
      all[i] = #all[i] <= LONGEST and all[i] or ''
    end
    return all
  end
  local found, cursor, bytes = {}, '0', 0
  repeat
    local page = must('HSCAN', INSTANCES, cursor, 'COUNT', PAGE)
    cursor = page[1]
    for i = 1, #page[2], 2 do
      local record = page[2][i + 1]
      bytes = bytes + #record
      found[#found + 1] = page[2][i]
      found[#found + 1] = #record <= LONGEST and record or ''
    end
  until cursor == '0' or #found >= 2 * MOST or bytes > ENOUGH
  is_left = cursor ~= '0'
  return found
end

local counters = {}
if alone ~= '' then
  -- All of them in one command if there is only this one. Of more the server tells a few, or as many as it packs in one piece.
  local page = must('HSCAN', LEASES, '0', 'COUNT', 10)
  if page[1] == '0' and #page[2] == 2 and page[2][1] == alone then
    counters[alone] = page[2][2]
  end
end
local is_alone = counters[alone] ~= nil
local records = is_alone and { alone, '' } or read_records()
for from = 1, is_alone and 0 or #records, 2 * PAGE do
  local ids = {}
  for i = from, math.min(from + 2 * PAGE - 1, #records), 2 do
    ids[#ids + 1] = records[i]
  end
  for i, counter in ipairs(must('HMGET', LEASES, unpack(ids))) do
    counters[ids[i]] = counter or nil
  end
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
if is_left then
  reply[#reply + 1] = '+'
end
return reply

-- Fragment: long names of locks are taken out of the working records of the jobs that hold them, before anything else is read
-- (lend.lua). It comes first in the second form of a script, which itself does not know. A lock whose record does not lend has no name,
-- and so nothing is held under it.
--
-- ARGV   last: behind which argument it reads: number of records; of each its place in KEYS; then as lend.lua

local function take_held()
  local at = tonumber(ARGV[#ARGV])
  local count, records = tonumber(ARGV[at + 1]), {}
  for i = 1, count do
    local record = redis.pcall('GET', KEYS[tonumber(ARGV[at + 1 + i])])
    records[i] = type(record) == 'string' and record
  end
  borrow(at + 1 + count, records)
  for i = #ARGV, at + 1, -1 do
    ARGV[i] = nil
  end
end
take_held()

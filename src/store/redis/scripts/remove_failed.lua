-- remove_failed: removes records from the failed list.
--
-- KEYS   as places.lua
-- ARGV   now (unused), a mark that no record is, number of records, per record: its position or "", the record
-- returns per record 1, or 0 if it is not there
--
-- Why this order: what it takes is checked before the first record is marked.

may_take()
local reply = {}
for i = 1, tonumber(arg()) do
  local seen, record = tonumber(arg()), arg()
  local at = find(seen, record)
  if at and not take_off(at, record) then
    break
  end
  reply[i] = at and 1 or 0
end
sweep()
if broken[1] and not reply[1] then
  error(broken[1])
end
return reply

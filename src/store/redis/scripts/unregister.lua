-- unregister: removes idle workers; one with a working record stays.
--
-- KEYS   workers; per worker as in members.lua
-- ARGV   now (unused), number of workers; per worker as in members.lua
-- returns the number removed
--
-- Why this order: all records are read and the set's type is checked before anything is removed.

local WORKERS = key()
local count = tonumber(arg())
local list, standing = members(count)
must('SREM', WORKERS, '')
local removed = 0
for i = 1, count do
  if not standing[i] then
    strike(must, WORKERS, list[i])
    removed = removed + 1
  end
end
return removed

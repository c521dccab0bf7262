-- identities: a read of who some long delayed jobs are.
--
-- KEYS   delayed:<second>, windlass:identity
-- ARGV   now (unused), number of jobs, per job its field
-- returns for each job its lines (identity.lua); nil if there are none
--
-- Why this order: none; nothing is written.

local _, IDENTITY = key(), key()
local fields = {}
for i = 1, tonumber(arg()) do
  fields[i] = arg()
end
return must('HMGET', IDENTITY, unpack(fields))

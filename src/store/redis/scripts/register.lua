-- register: workers become members, with start time and ping.
--
-- KEYS   workers; per worker as in members.lua
-- ARGV   now, number of workers; per worker as in members.lua
-- returns per worker the working record that already stands under its name, or nothing (false)
--
-- Why this order: the set's type is checked first. The ping is written before the membership, because a member without
-- a ping looks like a worker of a program that never pings.

local WORKERS = key()
local count = tonumber(arg())
local list, standing = members(count)
must('SCARD', WORKERS)
local reply = {}
for i = 1, count do
  must('SET', list[i].ping, ping(list[i]))
  enrol(must, WORKERS, list[i])
  reply[i] = standing[i] or false
end
return reply

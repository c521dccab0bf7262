-- names: some members of a set, without those that are too long to be names.
--
-- KEYS   the set
-- ARGV   now (unused), SSCAN's cursor, how many are looked at, roughly; how many bytes a name has at most
-- returns {cursor, {member, ...}, {how a member that is too long begins, how many bytes it has, ...}}
--
-- Why this order: none; nothing is written.

local SET = key()
local cursor, some, longest = arg(), arg(), tonumber(arg())
local SHOWN = 100
local page = must('SSCAN', SET, cursor, 'COUNT', some)
local names, long = {}, {}
for _, member in ipairs(page[2]) do
  if #member <= longest then
    names[#names + 1] = member
  else
    long[#long + 1] = string.sub(member, 1, SHOWN)
    long[#long + 1] = #member
  end
end
return { page[1], names, long }

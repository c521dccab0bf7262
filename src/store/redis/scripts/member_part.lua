-- member_part: a part of a long member of a list.
--
-- KEYS   the list
-- ARGV   now (unused), its position, how many bytes it has, the first and the last byte, counted from 1
-- returns the part; nil if no member of that length stands there
--
-- Why this order: none; nothing is written. Anyone who has all parts compares their digest.

local LIST = key()
local position, length, first, last = arg(), tonumber(arg()), tonumber(arg()), tonumber(arg())
local member = must('LRANGE', LIST, position, position)[1]
if not member or #member ~= length then
  return false
end
return string.sub(member, first, last)

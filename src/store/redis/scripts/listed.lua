-- listed: the beginnings of the members of a part of a list, as far as one step may hold it.
--
-- KEYS   the list
-- ARGV   now (unused), the first and the last position, neither from the end; how many bytes of each are told
-- returns {the position at which the rest begins, or "" if there is none; {beginning, how many bytes it has, ...}}
--
-- Why this order: none; nothing is written.

local LIST = key()
local first, last, longest = tonumber(arg()), tonumber(arg()), tonumber(arg())
local members = read_page(LIST, first, last - first + 1)
local told, rest = {}, first + #members
for i, member in ipairs(members) do
  told[2 * i - 1] = string.sub(member, 1, longest)
  told[2 * i] = #member
end
if #members == 0 or rest > last then
  return { '', told }
end
return { whole(rest), told }

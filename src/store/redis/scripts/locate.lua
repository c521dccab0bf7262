-- locate: where long values stand in a list, from a position on, as far as one step looks.
--
-- KEYS   the list
-- ARGV   now (unused), the position, number of values; of each its length and its digest (SHA-1)
-- returns {where the next step goes on, or "" at the end of the list; of each value that was found its number from 1 and its
--          position}
--
-- Why this order: none; nothing is written. Of equal values each is found at a place of its own.

local LOOKED_AT = 500

local LIST = key()
local first, wanted = tonumber(arg()), {}
for i = 1, tonumber(arg()) do
  wanted[i] = { length = tonumber(arg()), digest = arg() }
end
local page = read_page(LIST, first, LOOKED_AT)
local reply = { #page > 0 and whole(first + #page) or '' }
for at, value in ipairs(page) do
  local digest
  for i, one in ipairs(wanted) do
    if not one.found and one.length == #value then
      digest = digest or redis.sha1hex(value)
      if digest == one.digest then
        one.found = true
        reply[#reply + 1] = i
        reply[#reply + 1] = first + at - 1
        break
      end
    end
  end
end
return reply

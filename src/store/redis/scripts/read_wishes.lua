-- read_wishes: a read of the wishes about runs of an instance.
--
-- KEYS   windlass:wishes:<instance>
-- ARGV   now (unused), how many are returned at most, about
-- returns {claim, wish, ...} as wishes.lua reads them; none where a key of another type stands
--
-- Why this order: none; nothing is written.

local found = read_wishes(key(), tonumber(arg()))
for _, message in ipairs(broken) do
  -- What may not be read is not known to be nothing.
  if string.find(message, '^REFUSED') then
    error(message)
  end
end
return found

-- read_wishes: a read of the wishes about runs of an instance.
--
-- KEYS   windlass:wishes:<instance>
-- ARGV   now (unused), how many are returned at most, about
-- returns {claim, wish, ...} as wishes.lua reads them; none where a key of another type stands
--
-- Why this order: none; nothing is written.

return read_wishes(key(), tonumber(arg()))

-- decline: notes that a batch is never to be taken in.
--
-- KEYS   windlass:moved
-- ARGV   now (unused), source, number, token or ""
-- returns as take_in: 3 (declined), 0 (taken in before), 2 (another batch has this number or a later one); and the
--        number of the last batch

local MOVED = key()
local source, number, token = arg(), tonumber(arg()), arg()
local known, last = known_as(MOVED, source, number, token)
if known then
  return { known, last }
end
note_batch(MOVED, source, number, token, true)
return { DECLINED, number }

-- take_in: puts in what another store has set aside, once.
--
-- KEYS   as places.lua; windlass:moved, windlass:schedules; then as items.lua
-- ARGV   now, source, number, token or "", number of items; then as items.lua
-- returns 1 (taken in), 0 (taken in before), 3 (declined before), 2 (another batch has this number or a later one: the
--        source fell back); and the number of the last batch
--
-- Why this order: all is read and every key's type is checked before the first write, so that an error leaves nothing
-- half taken in. The number is written first: a batch whose number is known counts as taken in. The number is restored
-- if a right is missing that the batch needs.

needs_room = true
now()
local MOVED, SCHEDULES = key(), key()
local source, number, token, count = arg(), tonumber(arg()), arg(), tonumber(arg())
local known, last = known_as(MOVED, source, number, token)
if known then
  return { known, last }
end
local items = read_items(count, SCHEDULES)
local batch = source .. ':batch'
local last_batch = must('HGET', MOVED, batch) or ''
note_batch(MOVED, source, number, token)
local allowed, message = pcall(may_put, 'RPUSH', MOVED, source)
if not allowed then
  must('HSET', MOVED, source, whole(last), batch, last_batch)
  error(message)
end
put_items(items, 'RPUSH', SCHEDULES)
return { TAKEN, number }

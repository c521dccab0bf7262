-- put_back: puts what is set aside back to its places, when the other store has declined it.
--
-- KEYS   as places.lua; as departed.lua; windlass:outbox, windlass:moving, windlass:schedules; then as items.lua
-- ARGV   now, source, number, token or "", number of items; then as items.lua
-- returns 1, or 0 if this batch is not set aside
--
-- Why this order: all is read, every key's type and every right is checked before the first write. The first write
-- removes the batch: it cannot be put back twice, and a full server refuses no write after it.

now()
local OUTBOX, MOVING, SCHEDULES = key(), key(), key()
local source, number, token, count = arg(), arg(), arg(), tonumber(arg())
if must('LLEN', OUTBOX) == 0 or not is_last(MOVING, source, number, token) then
  return 0
end
local items = read_items(count, SCHEDULES)
may_put('LPUSH', MOVING, 'id')
may('HSET', OUTBOX, '', '')
unlink(must, OUTBOX)
for queue, jobs in pairs(put_items(items, 'LPUSH', SCHEDULES)) do
  count_returned(queue, jobs)
end
return 1

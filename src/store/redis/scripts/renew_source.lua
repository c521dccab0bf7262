-- renew_source: gives this store a new id as a source, with the batch that is set aside.
--
-- KEYS   windlass:outbox, windlass:moving
-- ARGV   now (unused), source, number, token or "", the new id
-- returns 1, or 0 if this batch is not set aside

local OUTBOX, MOVING = key(), key()
local source, number, token, fresh = arg(), arg(), arg(), arg()
if must('LLEN', OUTBOX) == 0 then
  return 0
end
if is_last(MOVING, fresh, number, token) then
  return 1
end
if not is_last(MOVING, source, number, token) then
  return 0
end
must('HSET', MOVING, 'id', fresh)
return 1

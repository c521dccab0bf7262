-- let_go: forgets what is set aside, when the other store has it.
--
-- KEYS   windlass:outbox, windlass:moving
-- ARGV   now (unused), source, number, token or ""
-- returns 1 if it was that batch, 0 if not
--
-- Why this order: the batch is compared first, because a late repetition must not drop a newer batch.

local OUTBOX, MOVING = key(), key()
if not is_last(MOVING, arg(), arg(), arg()) then
  return 0
end
unlink(must, OUTBOX)
return 1

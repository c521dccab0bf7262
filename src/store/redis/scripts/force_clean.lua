-- force_clean: removes a worker, anybody's, and puts its job on the failed list.
--
-- KEYS   windlass:nothing, workers, failed, stat:failed, workers:heartbeat, worker:<id>, each lock and its shadow, that of a run if
--        one is kept (keep_run.lua), then everything else that is deleted
-- ARGV   now (unused), id, "1" if a working record is expected, the record, "1" if that is the digest (SHA-1) of a long one,
--        behind which argument lend.lua reads (0 if nothing is lent), "1" if there is a failure record, the failure record, the claim, number of locks, per lock what it must hold to be freed or "" if it must carry the
--        claim; "1" if a run is kept, and what keep_run.lua reads
-- returns {1, errors} if it was removed, with what of it was refused; {0} if its working record is another than expected
--
-- Why this order: the failure record is written before the working record is deleted. The right to delete that is
-- checked before, because otherwise each attempt would add a failure record. stat:failed counts only if there is a
-- failure record (node-resque counts in any case, and leaves `worker:<id>`).

local NOTHING, WORKERS, FAILED, FAILED_STAT, HEARTBEATS, WORKING = key(), key(), key(), key(), key(), key()
local id, expected, working, is_digest, loans_at = arg(), arg() == '1', arg(), arg() == '1', tonumber(arg())
local standing = must('GET', WORKING)
local seen = is_digest and standing and redis.sha1hex(standing) or standing
if expected and seen ~= working or not expected and standing then
  return { 0 }
end
borrow(loans_at, { standing })
local has_record, record = arg() == '1', arg()
must('SREM', WORKERS, '')
must('DEL', NOTHING)
if has_record then
  must('RPUSH', FAILED, record)
  try('INCR', FAILED_STAT)
end
must('SREM', WORKERS, id)
-- Ruby's workers write their heartbeat there.
try('HDEL', HEARTBEATS, id)
local token = arg()
for _ = 1, tonumber(arg()) do
  local lock, shadow, value = key(), key(), arg()
  if value == '' then
    free(lock, shadow, token)
  elseif redis.pcall('GET', lock) == value then
    try('DEL', lock)
  end
end
if arg() == '1' then
  local run = read_run()
  keep_run(run, run.outcome)
end
must('DEL', WORKING, unpack(KEYS, k + 1))
return { 1, table.concat(broken, '\30') }

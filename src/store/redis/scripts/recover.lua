-- recover: a dead owner's working record -> queue or failed, exactly once.
--
-- KEYS   as places.lua; windlass:nothing, windlass:leases, worker:<id>, workers, worker:ping:<name>; then what the
--        verdict reads (verdict.lua)
-- ARGV   now, instance or "", its counter, the record, "1" if that is the digest (SHA-1) of a long one, the worker's id, the record's claim or "", "F" if the worker was
--        removed and its job failed, "" if that is not known, "N" if nobody failed it; behind which argument lend.lua reads (0 if
--        nothing is lent); op; then what the verdict reads
-- returns {1, errors} if it was recovered, with what of it was refused; {2} if only the record was removed, because its job is on the failed list; {3} if nothing
--         was done, because the worker was removed and the caller must first find out whether its job was failed; {0} if
--         the record no longer stands or the instance lives
--
-- Why this order: counter and record are compared in the step, so that only one of two observers recovers the job, and
-- a late extension of the lease wins. The working record is deleted last. The right to delete it is checked first,
-- because otherwise its job would be recovered again at every look.

local NOTHING, LEASES, WORKING, WORKERS, PING = key(), key(), key(), key(), key()
now()
local instance, counter, record, is_digest, worker, token = arg(), arg(), arg(), arg() == '1', arg(), arg()
local failed, loans_at, op = arg(), tonumber(arg()), arg()
if instance ~= '' and (counter_of(must('HGET', LEASES, instance)) or '0') ~= counter then
  return { 0 }
end
local standing = must('GET', WORKING)
if is_digest and standing then
  if redis.sha1hex(standing) ~= record then
    return { 0 }
  end
elseif standing ~= record then
  return { 0 }
end
-- node-resque's force-clean puts the job on the failed list, removes membership and ping, and leaves
-- the record behind.
if failed == 'F' then
  must('DEL', WORKING)
  return { 2 }
end
if failed == '' and must('SISMEMBER', WORKERS, worker) == 0 and must('EXISTS', PING) == 0 then
  return { 3 }
end
must('DEL', NOTHING)
borrow(loans_at, { standing })
if not settle(string.byte(op, 1), token, true) then
  error(broken[1])
end
count()
must('DEL', WORKING)
return { 1, table.concat(broken, '\30') }

-- keep_audit: adds an entry to the audit.
--
-- KEYS   windlass:audit
-- ARGV   now (unused), the entry, the position of the last entry that stays
--
-- Why this order: an entry is worth more than the bound, so that it is written first. What the bound is refused for stays until
-- the next entry.

local AUDIT = key()
local entry, last = arg(), arg()
must('LPUSH', AUDIT, entry)
try('LTRIM', AUDIT, 0, last)
return 1

-- Fragment: the keys that all scripts which end claims read first.
--
-- KEYS  delayed_queue_schedule, "delayed:" (see below), windlass:identity, windlass:periodic,
--       queues, failed, stat:processed, stat:failed, "windlass:twins:"
--
-- "delayed:" and "windlass:twins:" are prefixes. The second to which a job is delayed depends on the store's own time,
-- so that only the script knows these keys: the prefix followed by the second. On a Cluster the namespace is a hash
-- tag, so that all keys are in one slot. windlass:identity has a second key (identity.lua).

local SCHEDULE, DELAYED, IDENTITY, PERIODIC = key(), key(), key(), key()
local QUEUES, FAILED, PROCESSED_STAT, FAILED_STAT = key(), key(), key(), key()
local TWINS = key()

-- For how many seconds past due the records about a delayed job are kept at most.
local KEPT = 2592000

-- The due second of a task that halted (effect.rs, HALTED_S).
local HALTED = '253402300799'

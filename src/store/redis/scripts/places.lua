-- Fragment: the keys that every script reads first which ends claims.
--
-- KEYS  delayed_queue_schedule, "delayed:" (see below), windlass:identity, windlass:periodic,
--       queues, failed, stat:processed, stat:failed, "windlass:twins:"
--
-- "delayed:" and "windlass:twins:" are only prefixes. Which second a job is delayed to depends on
-- the store's own time, so these keys are known only here: the prefix followed by the second. On
-- a Cluster the namespace is a hash tag, hence all keys stand in one slot anyway. windlass:identity has a second key
-- beside it (identity.lua).

local SCHEDULE, DELAYED, IDENTITY, PERIODIC = key(), key(), key(), key()
local QUEUES, FAILED, PROCESSED_STAT, FAILED_STAT = key(), key(), key(), key()
local TWINS = key()

-- How long, in seconds past due, what is kept beside a delayed job is kept at most.
local KEPT = 2592000

-- The due second of a task that halted (effect.rs, HALTED_S).
local HALTED = '253402300799'

-- Fragment: ends one claim. It reads its parameters even if it does not apply them, so that the cursors are right for
-- the next claim.
--
-- op, one letter; lower case if locks stand before it, and after it what follows:
-- "T" a tick, "R" a run (keep_run.lua), "TR" both:
--   D done        KEYS stat:processed:<name>        ARGV how many it did that are not counted there yet
--   F failed      KEYS stat:failed:<name>           ARGV record
--   L delayed     KEYS timestamps:<raw>             ARGV raw, delay in ms, queue, identity
--   Q requeued    KEYS queue:<queue>                ARGV raw, queue, identity
--   C done        KEYS stat:processed:<name>, Retry's counter and last error, which are forgotten
--   V vetoed      the job is gone without a trace: ARGV "1" if Retry's keys follow, KEYS its counter and last error
--   R attempted   KEYS stat:processed:<name>, stat:failed:<name>, Retry's counter and last error, timestamps:<raw>
--                 ARGV raw, queue, identity, last error, attempts, for how many seconds the keys
--                 are kept, number of delays, the delays in ms, "1" if a record follows, the record
-- locks           ARGV number of locks, KEYS each lock and its shadow (locks.lua)
-- tick            KEYS timestamps:<raw>, queue:<queue>, QueueLock's key if there is one
--                 ARGV task, cadence (cadence.lua), queue, raw, "1" to halt, "1" if ticks go on beside runs, "1" if a lock follows, for how many s
--
-- Why this order: the locks are freed first, because the run is over in any case, and a lock that could not be freed
-- would stand without a claim: then nothing else is written. The job is written to its new place next, and the rest only
-- if that succeeded. The run is kept last. The caller deletes the working record after that.

local DONE, FAIL, LATER, REQUEUE, CLEAR, ATTEMPT, VETO = 68, 70, 76, 81, 67, 82, 86
local processed, failures = 0, 0

-- How many jobs were given back to their queues.
local returned = {}

-- If the last attempt is to be repeated: `<attempts left>:<delay in ms>`.
local repeated

-- Counts a failed attempt, and delays the next one or ends the job. The counter starts at -1, as node-resque's does. A
-- counter that is no number counts as missing. It is written before the job is delayed, because a job that is not counted
-- would be repeated once too often; if the job cannot be delayed, the counter is put back.
local function attempt(mine)
  local done_stat, stat, counter, failure, stamps = key(), key(), key(), key(), key()
  local raw, queue, identity, message = arg(), arg(), arg(), arg()
  local attempts, kept, waits = tonumber(arg()), arg(), {}
  for i = 1, tonumber(arg()) do
    waits[i] = tonumber(arg())
  end
  local record = arg() == '1' and arg()
  repeated = nil
  if not mine then
    return mine
  end
  local before, known = value_of(counter)
  if not known then
    return nil
  end
  local n = math.max(type(before) == 'string' and tonumber(string.match(before, '^%-?%d+$')) or -1, -1) + 1
  local left = attempts - n - 1
  local done
  if left > 0 then
    local wait = waits[math.min(n, #waits - 1) + 1] or waits[#waits]
    local second = math.ceil((now() + wait) / 1000)
    local counted = try('SET', counter, whole(n), 'EX', kept)
    done = counted and put_known(queue, raw, identity, second, function()
      return delay(whole(second), raw, stamps)
    end)
    if done then
      try('SET', failure, message, 'EX', kept)
      repeated = whole(left) .. ':' .. whole(wait)
    elseif counted and before then
      try('SET', counter, before, 'EX', kept)
    elseif counted then
      remove(counter)
    end
  else
    done = not record or try('RPUSH', FAILED, record)
    if done then
      remove(counter, failure)
    end
  end
  if done and not record and left <= 0 then
    processed = processed + 1
    try('INCR', done_stat)
  elseif done then
    failures = failures + 1
    try('INCR', stat)
  end
  return done
end

-- Puts a tick that is due at the end of its queue, as promotion does: QueueLock is taken if it is free, and never
-- refuses. Nil if the queue does not take it.
local function push(list, queue, raw, lock, ttl)
  if not (try('SADD', QUEUES, queue) and try('RPUSH', list, raw)) then
    return nil
  end
  if lock then
    take_if_free(lock, ttl)
  end
  return true
end

-- Is a tick of a task delayed? What waits to run again counts as one, because the next is written when that has run; not if ticks
-- go on `beside` it. Then it may stand in the second of the next tick, and the entry tells whether that was written.
local function stands_tick(stamps, queue, raw, due, beside)
  -- A key of another type in place of the stamps is no sign of a copy.
  local stands = (try('SCARD', stamps) or 0) > 0
  if not stands or not beside or due and tonumber(due) > seconds() + EARLY_S then
    return stands
  end
  local waits = begun(queue, raw)
  for _, stamp in ipairs(try('SMEMBERS', stamps) or {}) do
    if not waits[string.match(stamp, '^delayed:(-?%d+)$') or ''] then
      return true
    end
  end
  return false
end

-- The next run of a periodic task (entry.lua).
local function tick(mine)
  local stamps = key()
  local task, cadence = arg(), read_cadence()
  local queue, raw, halt, beside = arg(), arg(), arg() == '1', arg() == '1'
  local list, lock, ttl = key(), nil, nil
  if arg() == '1' then
    lock, ttl = key(), tonumber(arg())
  end
  if not mine then
    return
  end
  local entry = try('HGET', PERIODIC, task)
  local due, _, stopped, _, last = read_entry(entry)
  if entry and not due then
    local was = string.gsub(string.sub(entry, 1, 60), '%c', '?')
    broken[#broken + 1] = 'CORRUPT ' .. PERIODIC .. ' ' .. task .. '\31ENTRY ' .. task .. '\31' .. was
  end
  -- For which second it ran last. What lies ahead did not run: people asked for this run.
  local ran = last
  if due and due ~= HALTED and tonumber(due) <= seconds() + SET_BACK_S then
    ran = tonumber(due)
  end
  if stopped == '1' and cadence.every == 0 and ran and ran > 0 then
    keep_ran(task, ran)
  end
  if halt then
    local text = stopped == '1' and HALTED .. ' ' .. whole(cadence.every) .. ' 1 ' .. queue
    try('HSET', PERIODIC, task, text or entry_of(tonumber(HALTED), cadence.every, ran, queue))
    return
  end
  if due == HALTED then
    due = nil
  end
  if stopped == '1' or stands_tick(stamps, queue, raw, due, beside) then
    return
  end
  local coming, second, follows = next_due(cadence, tonumber(due))
  if not coming then
    -- An entry whose tick has run must not look overdue, or that tick would be restored and run again.
    if due and tonumber(due) > seconds() then
      -- The clock was set back, and what ran is remembered until the next one is known.
      try('HSET', PERIODIC, task, entry_of(tonumber(due), cadence.every, tonumber(due), queue))
    else
      try('HDEL', PERIODIC, task)
    end
    return
  end
  -- After a gap other programs may run the ticks, and their copy of the next one is found among the delayed jobs.
  local is_due = follows and second * 1000 <= now()
  if is_due and push(list, queue, raw, lock, ttl) or delay_tick(second, raw, stamps) then
    try('HSET', PERIODIC, task, entry_of(coming, cadence.every, tonumber(due), queue))
  end
end

-- Ends one claim; true if it was applied.
local function settle(op, token, mine)
  local extras = op > 96
  if extras then
    op = op - 32
    for _ = 1, tonumber(arg()) do
      local lock, shadow = key(), key()
      if mine and not free(lock, shadow, token) then
        mine = nil
      end
    end
  end
  local done = mine
  if op == DONE then
    local stat, uncounted = key(), arg()
    if mine then
      processed = processed + 1
      try('INCRBY', stat, uncounted)
    end
  elseif op == FAIL then
    local stat, record = key(), arg()
    if mine then
      done = try('RPUSH', FAILED, record)
      if done then
        failures = failures + 1
        try('INCR', stat)
      end
    end
  elseif op == CLEAR then
    local stat, counter, failure = key(), key(), key()
    if mine then
      processed = processed + 1
      try('INCR', stat)
      remove(counter, failure)
    end
  elseif op == ATTEMPT then
    done = attempt(mine)
  elseif op == LATER then
    local stamps = key()
    local raw, wait, queue, identity = arg(), tonumber(arg()), arg(), arg()
    if mine then
      local second = math.ceil((now() + wait) / 1000)
      done = put_known(queue, raw, identity, second, function()
        return delay(whole(second), raw, stamps)
      end)
    end
  elseif op == VETO then
    if arg() == '1' then
      local counter, failure = key(), key()
      if mine then
        remove(counter, failure)
      end
    end
  else
    local list = key()
    local raw, queue, identity = arg(), arg(), arg()
    if mine then
      -- A known queue without jobs does no harm; an unknown one with jobs is never looked at.
      done = try('SADD', QUEUES, queue) and put_known(queue, raw, identity, seconds(), function()
        return try('LPUSH', list, raw)
      end)
      if done then
        returned[queue] = (returned[queue] or 0) + 1
      end
    end
  end
  local more = extras and arg() or ''
  local repeats = op == ATTEMPT and repeated
  if string.find(more, 'T', 1, true) then
    -- The job that is repeated is still the present tick.
    tick(done and not repeats)
  end
  if string.find(more, 'R', 1, true) then
    local run = read_run()
    if done then
      keep_run(run, repeats and 'retried' or run.outcome)
    end
  end
  return done
end

local function count()
  if processed > 0 then
    try('INCRBY', PROCESSED_STAT, processed)
  end
  if failures > 0 then
    try('INCRBY', FAILED_STAT, failures)
  end
  for queue, jobs in pairs(returned) do
    count_returned(queue, jobs)
  end
end

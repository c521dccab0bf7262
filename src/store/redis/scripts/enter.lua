-- exchange, 3 of 4: working -> taken, put back or dropped, by the gates of the job's plugins.
--
-- per enter    ARGV number of gates, what follows: "P" if it may be put back, "R" if its run is kept when a gate drops it, "PR" for
--              both; if it may be put back KEYS timestamps:<raw>, ARGV raw, queue, identity; then the run (keep_run.lua)
-- per gate     "F"  KEYS lock                   free QueueLock: the job has left its queue
--              "T"  KEYS lock, its shadow (locks.lua), ARGV ttl   take JobLock; if busy:
--                   "P" ARGV delay in ms        put the job back
--                   "D" ARGV number of locks, KEYS the locks, ARGV "1" if a tick follows, "1" if Retry's keys
--                                       follow, KEYS its counter and last error, which are forgotten: drop it
--              "A"  KEYS windlass:periodic, ARGV task, age in s, then as "D": drop a tick that is
--                   older than that and that nobody asked for
--              "N"  KEYS windlass:periodic, then a tick (verdict.lua): write the next one now
--              "W"  KEYS windlass:periodic, ARGV task: tell for which second the present tick is due
-- adds to the reply per enter: T taken, behind it the second that "W" tells, L lost, P<gate> put back by that gate, D<gate> dropped, U a command that this
--                              takes was refused: the claim stands
--
-- Why this order: the parameters of every gate are read, also after one has refused, because the next enter follows
-- them. Locks taken by earlier gates are freed before the job is put off, so that they are free when it is seen there; if
-- one could not be freed, the job is not put off.

local entered = {}

local function pass(token, mine, record)
  local gates, more = tonumber(arg()), arg()
  local may_return = string.find(more, 'P', 1, true)
  local stamps, raw, queue, identity
  if may_return then
    stamps, raw, queue, identity = key(), arg(), arg(), arg()
  end
  local run = string.find(more, 'R', 1, true) and read_run()
  local taken, refused = {}, nil
  -- For which second it was due; as what it is dropped.
  local scheduled, dropped

  local function free_earlier()
    for _, earlier in ipairs(taken) do
      if not remove(earlier.lock, earlier.shadow) then
        refused = 'U'
      end
    end
  end

  -- The locks that go with a dropped job, and its next tick.
  local function drop(refuses)
    for _ = 1, tonumber(arg()) do
      local held = key()
      if refuses and not remove_locks(held) then
        refused = 'U'
      end
    end
    refuses = refuses and refused ~= 'U'
    if arg() == '1' then
      tick(refuses)
    end
    if arg() == '1' then
      local counter, failure = key(), key()
      if refuses then
        remove(counter, failure)
      end
    end
  end

  for gate = 0, gates - 1 do
    local kind, lock = arg(), key()
    if kind == 'F' then
      if mine and not refused and not remove_locks(lock) then
        refused = 'U'
        free_earlier()
      end
    elseif kind == 'A' then
      local task, age = arg(), tonumber(arg())
      local refuses
      if mine and not refused then
        local entry = try('HGET', lock, task)
        refuses = is_late(entry, age)
        if entry == nil and was_refused() then
          -- Its age is not known.
          refused = 'U'
          free_earlier()
        end
      end
      if refuses then
        refused, dropped = 'D' .. gate, 'missed'
        free_earlier()
      end
      drop(refuses)
    elseif kind == 'N' then
      tick(mine and not refused)
    elseif kind == 'W' then
      local task = arg()
      if mine and not refused then
        scheduled = present_due(try('HGET', lock, task))
      end
    else
      local shadow, ttl, busy = key(), tonumber(arg()), arg()
      local wait
      local free_now, known = false, true
      if mine and not refused then
        -- False if somebody has it, nil if it may not be taken.
        free_now = try('SET', lock, owned_until(ttl, token), 'EX', whole(math.max(ttl, 1)), 'NX')
        if free_now == nil then
          known = false
        elseif not free_now then
          local value
          value, known = value_of(lock)
          free_now = carries(value, token)
          if known and value == nil then
            -- What stands there is no lock, so that nobody frees it: the job would be put back for ever.
            known = false
            try('GET', lock)
          end
        else
          local lasts = whole(ttl + SHADOW_S)
          local before = try('SET', shadow, shadow_of(ttl, token, record), 'EX', lasts, 'GET')
          if outlives(before, token) then
            try('SET', shadow, before, 'EX', lasts)
            free_now, known = false, remove(lock)
          end
        end
        if free_now then
          taken[#taken + 1] = { lock = lock, shadow = shadow }
        end
      end
      local refuses = mine and not refused and not free_now
      if refuses then
        refused = known and busy .. gate or 'U'
        free_earlier()
        refuses = refused ~= 'U'
      end
      if busy == 'P' then
        wait = tonumber(arg())
        if refuses then
          local second = math.ceil((now() + wait) / 1000)
          local done = put_known(queue, raw, identity, second, function()
            return delay(whole(second), raw, stamps)
          end)
          if not done then
            refused = 'U'
          end
        end
      else
        dropped = refuses and 'busy' or dropped
        drop(refuses)
      end
    end
  end
  if run and dropped and refused ~= 'U' then
    keep_run(run, dropped, scheduled)
  end
  return refused, scheduled
end

for i = 1, enters do
  local p1, p2, h1, h2 = string.byte(entering, 4 * i - 3, 4 * i)
  local position = p1 * 256 + p2
  local stands = owns(position, h1, h2) and not ended[position]
  local mine = stands and not unlent[position]
  local refused, scheduled = pass(mine and token_of(position), mine, KEYS[workers_at + position])
  if not stands then
    entered[i] = 'L'
  elseif not mine then
    tell_unlent(KEYS[workers_at + position])
    entered[i] = 'U'
  elseif refused then
    entered[i] = refused
    if refused ~= 'U' then
      ended[position] = true
    end
  else
    entered[i] = 'T' .. (scheduled or '')
  end
end

-- reconcile: looks after one periodic task.
--
-- KEYS   as places.lua; workers, "worker:" (prefix), queue:<queue>; QueueLock and JobLock if there are any; Retry's
--        counters; worker:<id> of every known worker; timestamps:<raw> of every form
-- ARGV   now, task, queue, cadence (cadence.lua), purpose ("look", "boot": an instance starts, "start": somebody starts
--        the task, "run": somebody wants it to run now), the due second of an entry that its cadence does not give,
--        or "", grace in s, QueueLock's ttl or "", "1" if there is a JobLock, two spellings of the task's name as JSON,
--        "1" if its ticks go on beside its runs, number of Retry's counters, number of workers, their ids, number of workers that are passed over, their ids, number of forms, the forms,
--        ours first
-- returns {outcome, what stands in the way, for people}: 0 fine, 1 seeded, 2 restored, 3 unlocked, 4 on its queue now, 5 it
--         waits there already, 6 it runs, 7 moved to the new cadence, 8 not done yet: the step is to be taken again
--
-- One step looks at some hundred delayed seconds at most. If there are more, it removes those that it looked at and
-- ends. The job stays delayed in the others.
--
-- Workers that registered since the caller read them are searched too, unless there are very many. Their keys are built from the declared prefix,
-- as those of delayed seconds are (places.lua).
--
-- Why this order: the delayed seconds, the queue and the running jobs are all searched before anything is written, and
-- a job that is found is accepted as it is. What may fail is checked before the first write. The entry is written
-- before the push: if the push fails, the job is overdue later and pushed then. If it were written after the push and
-- failed, the job would be pushed again. A JobLock is freed only if no worker runs the task.

now()
local WORKERS, WORKER, LIST = key(), key(), key()
local task, queue, cadence = arg(), arg(), read_cadence()
local purpose, stale, grace = arg(), tonumber(arg()), tonumber(arg())
local queue_ttl, has_job_lock, plain, slashed = arg(), arg() == '1', arg(), arg()
local queue_lock = queue_ttl ~= '' and key()
local job_lock = has_job_lock and key()
local overlaps, attempts = arg() == '1', {}
for i = 1, tonumber(arg()) do
  attempts[i] = key()
end

local places, known = {}, {}
for i = 1, tonumber(arg()) do
  places[i] = key()
  known[arg()] = true
end
for _ = 1, tonumber(arg()) do
  known[arg()] = true
end
-- Of more than any fleet has, those that the caller read are searched: all names take the server seconds.
local MOST_WORKERS = 100000
if must('SCARD', WORKERS) <= MOST_WORKERS then
  for _, id in ipairs(must('SMEMBERS', WORKERS)) do
    if not known[id] then
      places[#places + 1] = WORKER .. id
    end
  end
end
local forms = {}
for i = 1, tonumber(arg()) do
  forms[i] = { stamps = key(), raw = arg() }
end

-- Does this hold for any working record? A few are read at a time, because each holds a job of any size.
local FEW = 16
local function on_record(holds)
  for from = 1, #places, FEW do
    local records = must('MGET', unpack(places, from, math.min(from + FEW - 1, #places)))
    for i = 1, #records do
      if records[i] and holds(records[i]) then
        return true
      end
    end
  end
  return false
end

-- No arguments, in any of their forms: none, [], [null], [{}].
local function is_empty(args)
  if args == nil or args == cjson.null then
    return true
  end
  if type(args) ~= 'table' then
    return false
  end
  local first, rest = args[1], args[2]
  return next(args) == nil
    or rest == nil and (first == cjson.null or type(first) == 'table' and next(first) == nil)
end

-- Does a worker run this task? node-resque writes its records anew, so that class and arguments are compared instead of
-- bytes. A run with arguments of its own was enqueued by a client and is not the periodic one.
local function running()
  return on_record(function(record)
    if not string.find(record, '"class":' .. plain, 1, true)
      and not string.find(record, '"class":' .. slashed, 1, true) then
      return false
    end
    local read, body = pcall(cjson.decode, record)
    local job = read and type(body) == 'table' and body.payload
    return type(job) == 'table' and job.class == task and is_empty(job.args)
  end)
end

-- The due second of the entry, and that of the tick before; nil if there is none. Did people ask for the outstanding run?
local due, last, asked

-- What stands in the place of seconds or stamps and is neither: for people to read.
local notes = {}

-- A read of a key that another program may have overwritten: nil if it is of another type, which is told.
local function look_at(command, place, ...)
  local reply = redis.pcall(command, place, ...)
  if type(reply) == 'table' and reply.err then
    local message = named(command, place, reply.err)
    if not string.find(message, '^CORRUPT') then
      error(message)
    end
    notes[#notes + 1] = message
    return nil
  end
  return reply
end

-- The earliest of the seconds looked at for which a form is delayed, and whether others are to be looked at in a step
-- of its own, because none of them was. Stale stamps are removed on the way. So is that of a second whose list another
-- program overwrote, because its job is gone, and what is no stamp: the next tick would be taken to stand there. Where they may
-- not be removed, another step would find the same, so that this one goes on, up to an end.
local MOST_LOOKS = 10000
local function delayed()
  local found, looks = nil, 0
  for _, form in ipairs(forms) do
    local cursor = '0'
    form.begun = overlaps and begun(queue, form.raw) or {}
    repeat
      local page = look_at('SSCAN', form.stamps, cursor, 'COUNT', 50)
      form.unreadable = not page
      cursor = page and page[1] or '0'
      for _, stamp in ipairs(page and page[2] or {}) do
        local second = string.match(stamp, '^delayed:(-?%d+)$')
        local others = second and form.begun[second] or 0
        if others > 0 then
          -- A tick may stand beside it, where the entry says.
          if due and math.abs(tonumber(second) - due) <= grace
            and #(look_at('LPOS', DELAYED .. second, form.raw, 'COUNT', others + 1) or {}) > others then
            found = math.min(found or tonumber(second), tonumber(second))
          end
        else
          if looks >= SECONDS and (found or not broken[1]) then
            return found, not found
          elseif looks >= MOST_LOOKS then
            error(broken[1])
          end
          looks = looks + 1
          -- What is due on no date is never due.
          local dated = second and math.abs(tonumber(second)) <= LAST_DATE
          if dated and look_at('LPOS', DELAYED .. second, form.raw) then
            if not found or tonumber(second) < found then
              found = tonumber(second)
            end
          else
            try('SREM', form.stamps, stamp)
          end
        end
      end
    until cursor == '0'
    -- Without its stamps a job is looked for where its entry says.
    if form.unreadable and due and look_at('LPOS', DELAYED .. whole(due), form.raw) then
      found = math.min(found or due, due)
    end
  end
  return found, false
end

local function queued()
  for _, form in ipairs(forms) do
    if must('LPOS', LIST, form.raw) then
      return true
    end
  end
  return false
end

local function write(due, by_people)
  must('HSET', PERIODIC, task, entry_of(due, cadence.every, last, queue, by_people))
end

-- Somebody wants a run that waits already or has begun: then its age does not end it.
local function ask()
  if due and due <= seconds() and not asked then
    write(due, true)
  end
end

-- Checks what a push may fail on, before anything else is written. A known queue without jobs does no harm.
local function prepare_push()
  must('LLEN', LIST)
  must('SADD', QUEUES, queue)
  may('RPUSH', QUEUES, '')
end

-- Pushes the job and takes its QueueLock. A lock that is held already guards no job, because none was found.
local function push()
  must('RPUSH', LIST, forms[1].raw)
  if queue_lock then
    take(queue_lock, tonumber(queue_ttl))
  end
end

-- Frees the JobLock unless it is in use: the claim that it carries has a working record or, if it carries none, a
-- worker runs the task. Returns whether it was freed.
local function unlock()
  local value = job_lock and redis.pcall('GET', job_lock)
  if type(value) ~= 'string' then
    return false
  end
  local claim = string.match(value, '^[^:]*:(.+)$')
  if claim then
    local stands = '{"claim":"' .. claim .. '"'
    local works = on_record(function(record)
      return string.sub(record, 1, #stands) == stands
    end)
    if works then
      return false
    end
  elseif running() then
    return false
  end
  return try('DEL', job_lock) ~= nil
end

-- Finds the delayed copies, before the first of them is removed. `ticks`: only those that have not begun; a second in which others
-- wait is left alone, but for the one where a tick was found.
local function find_delayed(ticks)
  for _, form in ipairs(forms) do
    local begun_at = ticks and not form.unreadable and begun(queue, form.raw) or {}
    form.seconds = not form.unreadable and stamped(form.stamps, begun_at)
    form.begun = begun_at
  end
end

-- Removes the delayed copies that were found. Returns whether there were no others.
local function forget_delayed(waits)
  for _, form in ipairs(forms) do
    local others = waits and form.begun[whole(waits)]
    if others then
      local list = DELAYED .. whole(waits)
      local standing = #must('LPOS', list, form.raw, 'COUNT', 0)
      if standing > others then
        must('LREM', list, standing - others, form.raw)
      end
    end
    if form.seconds then
      erase(form.stamps, form.raw, queue, form.seconds)
      if form.seconds.more then
        return false
      end
    elseif due then
      try('LREM', DELAYED .. whole(due), 0, form.raw)
    end
  end
  return true
end

-- Was the job put off until this second by its run, by Retry, a JobLock, a crash or its handler? That is no tick: whatever the
-- cadence is, it waits for as long as it was put off. What has begun is not asked about where ticks go on beside it.
local function is_put_off(second)
  local found = false
  for _, form in ipairs(forms) do
    entries(queue, form.raw, function(lines)
      for _, line in ipairs(lines) do
        found = found or line.due == second and not (overlaps and has_begun(line.who))
      end
    end)
  end
  return found
end

-- The job is delayed until its next occurrence, if there is one, and the entry says so.
local function delay_until(coming, second)
  if not coming then
    return
  end
  if not delay_tick(second, forms[1].raw, forms[1].stamps) then
    error(broken[#broken])
  end
  write(coming)
end

-- A task of a calendar waits for its next occurrence, one of a frequency runs at once.
-- What ran already does not come again while a clock is behind it.
local function seed()
  if cadence.every > 0 then
    prepare_push()
    write(seconds())
    push()
  else
    local ran = last and last >= seconds() and last or nil
    local coming, second = next_due(cadence, ran)
    if coming or not ran then
      delay_until(coming, second)
    else
      -- The occurrences behind it are not known here: the next look finds them.
      write(ran)
    end
  end
  unlock()
end

local function look_after()
  local written, stopped, _
  written, _, stopped, _, last, asked = read_entry(must('HGET', PERIODIC, task))
  if stopped == '1' and purpose ~= 'start' and purpose ~= 'run' then
    return 0
  elseif stopped == '1' then
    last = ran_before_stop(task)
  end
  local halted = written == HALTED
  due = tonumber(written)
  -- A task that halted begins anew when an instance starts.
  if purpose == 'start' or purpose == 'boot' and halted then
    due = nil
  end
  local is_overdue = due and seconds() > due + grace
  local waits, more
  if purpose == 'run' or not due or stale == due or is_overdue then
    waits, more = delayed()
    if more then
      return 8
    end
  end
  if purpose == 'run' then
    local outcome = queued() and 5 or not waits and running() and 6
    if outcome then
      if stopped ~= '1' and not halted then
        ask()
      end
      return outcome
    end
    find_delayed(overlaps)
    prepare_push()
    if not forget_delayed(waits) then
      return 8
    end
    if stopped ~= '1' then
      -- This run is an additional one: the tick whose job was moved stays due.
      local keeps = waits and due and not halted and cadence.every > 0
      write(keeps and due - cadence.every or seconds(), true)
    end
    push()
    unlock()
    return 4
  end
  if not due then
    if waits then
      write(waits)
    elseif queued() then
      write(seconds())
    elseif running() then
      -- A run whose tick was written when it began writes no other, and the entry would look overdue at its end.
      if cadence.every > 0 or written then
        write(seconds())
      end
    else
      seed()
      return 1
    end
    unlock()
    return purpose == 'start' and 0 or 1
  end
  -- A job that is nowhere would be missed only when a clock that was set back is there again. One that ran has none.
  local has_run = last == due
  local moves = stale == due
  -- Does its present run wait for its next attempt? Another program puts off a job without an identity: of that only Retry's keys
  -- tell. What its run put off otherwise has no such keys.
  if moves and attempts[1] then
    moves = must('EXISTS', unpack(attempts)) == 0
  end
  if moves and waits then
    moves = not is_put_off(waits)
  elseif moves then
    moves = (has_run or due > seconds()) and not queued() and not running()
  end
  if moves then
    local coming, second = next_due(cadence)
    if coming then
      may('ZADD', PERIODIC, '0', '')
      may('RPUSH', PERIODIC, '')
    end
    find_delayed(true)
    if not forget_delayed(waits) then
      return 8
    end
    delay_until(coming, second)
    return 7
  end
  if is_overdue then
    if waits then
      if waits > due then
        write(waits)
      end
    elseif not has_run and not queued() and not running() then
      -- The entry gets the last tick that should have run, so that later ticks keep their times.
      prepare_push()
      write(cadence.every > 0 and due + math.floor((seconds() - due) / cadence.every) * cadence.every or due, asked)
      push()
      unlock()
      return 2
    end
  end
  return unlock() and 3 or 0
end

local outcome = look_after()
if purpose == 'start' and outcome ~= 8 then
  keep_ran(task, nil)
end
for _, message in ipairs(broken) do
  notes[#notes + 1] = message
end
return { outcome, table.concat(notes, '\30') }

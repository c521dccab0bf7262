-- reconcile: looks after one periodic task.
--
-- KEYS   as places.lua; workers, "worker:" (prefix), queue:<queue>; QueueLock and JobLock if there
--        are any; worker:<id> of every known worker; timestamps:<raw> of every form
-- ARGV   now, task, queue, period in s, "1" if an instance starts, grace in s, QueueLock's ttl or "", "1" if there is a
--        JobLock, two spellings of the task's name as JSON, number of workers, their ids, number of
--        forms, the forms, ours first
-- returns 0 fine, 1 seeded, 2 restored, 3 unlocked
--
-- A worker that registered since the caller looked is searched too: its key is derived from the
-- declared prefix, as is that of a delayed second (places.lua).
--
-- Why this order: delayed, queued and running are all searched before anything is written; a job
-- that is anywhere is accepted as it stands. The entry is written with the push, so that a second
-- leader finds both or none. A JobLock is freed only when no record of this class stands.

local WORKERS, WORKER, LIST = key(), key(), key()
local task, queue, every, boot, grace = arg(), arg(), tonumber(arg()), arg() == '1', tonumber(arg())
local queue_ttl, has_job_lock, plain, slashed = arg(), arg() == '1', arg(), arg()
local queue_lock = queue_ttl ~= '' and key()
local job_lock = has_job_lock and key()

local places, known = {}, {}
for i = 1, tonumber(arg()) do
  places[i] = key()
  known[arg()] = true
end
for _, id in ipairs(must('SMEMBERS', WORKERS)) do
  if not known[id] then
    places[#places + 1] = WORKER .. id
  end
end
local forms = {}
for i = 1, tonumber(arg()) do
  forms[i] = { stamps = key(), raw = arg() }
end

-- Some record of this class stands. node-resque's records are re-encoded, so only the class is
-- looked for; periodic tasks take no arguments.
local function running()
  for _, record in pairs(chunked('MGET', places, #places)) do
    if record and (string.find(record, '"class":' .. plain, 1, true)
      or string.find(record, '"class":' .. slashed, 1, true)) then
      return true
    end
  end
  return false
end

-- The earliest second at which a form is delayed; stale stamps are removed on the way.
local function delayed()
  local found
  for _, form in ipairs(forms) do
    for _, stamp in ipairs(must('SMEMBERS', form.stamps)) do
      local second = string.match(stamp, '^delayed:(-?%d+)$')
      if second and redis.call('LPOS', DELAYED .. second, form.raw) then
        if not found or tonumber(second) < found then
          found = tonumber(second)
        end
      elseif second then
        redis.call('SREM', form.stamps, stamp)
      end
    end
  end
  return found
end

local function queued()
  for _, form in ipairs(forms) do
    if must('LPOS', LIST, form.raw) then
      return true
    end
  end
  return false
end

local function write(due)
  redis.call('HSET', PERIODIC, task, whole(due) .. ' ' .. whole(every) .. ' 0 ' .. queue)
end

-- The job goes to its queue, and locks that stood without it are ours or free.
local function push(due)
  must('RPUSH', LIST, forms[1].raw)
  must('SADD', QUEUES, queue)
  write(due)
  if queue_lock then
    take(queue_lock, tonumber(queue_ttl))
  end
  if job_lock then
    redis.call('DEL', job_lock)
  end
end

local entry = must('HGET', PERIODIC, task)
local due, stopped = string.match(entry or '', '^(-?%d+) %d+ ([01]) ')
if stopped == '1' then
  return 0
end
-- A task that halted begins anew when an instance starts.
if boot and due == HALTED then
  due = nil
end
if not due then
  local second = delayed()
  if second then
    write(second)
  elseif queued() or running() then
    write(seconds())
  else
    push(seconds())
  end
  return 1
end
due = tonumber(due)
if seconds() > due + grace then
  local second = delayed()
  if second then
    if second > due then
      write(second)
    end
  elseif not queued() and not running() then
    push(due + math.floor((seconds() - due) / every) * every)
    return 2
  end
end
if job_lock and redis.call('EXISTS', job_lock) == 1 and not running() then
  redis.call('DEL', job_lock)
  return 3
end
return 0

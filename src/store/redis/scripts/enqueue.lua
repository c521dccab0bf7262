-- enqueue: nowhere -> queue, for a batch of jobs, each judged and pushed on its own, in order.
--
-- KEYS   as departed.lua; queues; then per entry the queue's list, then what its admissions read
-- ARGV   now, number of entries; per entry: "RPUSH" or "LPUSH", queue, number of jobs, the jobs;
--        number of admissions (only entries of one job have any), the admissions as in admit.lua
-- returns per entry 0, or the number from 1 of the admission that refused it
--
-- Why this order: what can fail is checked before the first job is pushed, so that an error leaves no job on its queue,
-- and a client that enqueues again doubles nothing. The queues are made known first, because a known queue without jobs
-- does no harm, and nobody reads a queue with jobs that is not known.

needs_room = true
local QUEUES = key()
local entries, known, pushes, locks_too = {}, {}, {}, false
for i = 1, tonumber(arg()) do
  local entry = { list = key(), push = arg(), queue = arg() }
  local jobs = tonumber(arg())
  entry.from, entry.to = a + 1, a + jobs
  a = a + jobs
  entry.admissions = read_admissions()
  entries[i] = entry
  pushes[entry.push] = true
end
if #entries > 1 then
  for _, entry in ipairs(entries) do
    if not known[entry.queue] then
      must('LLEN', entry.list)
      known[entry.queue] = true
    end
    for _, admission in ipairs(entry.admissions) do
      must(admission[2] and 'GET' or 'EXISTS', admission[1])
      locks_too = locks_too or admission[2] or admission.mark
    end
  end
end
-- The commands of later jobs must not be refused after the first job was pushed.
local function check_rights()
  for push in pairs(pushes) do
    may(push, QUEUES, '')
  end
  if locks_too then
    may('SET', QUEUES, '', 'NX')
  end
end

local reply = {}
known = {}
for i, entry in ipairs(entries) do
  local refused, locks = admit(entry.admissions)
  if refused == 0 then
    if not known[entry.queue] then
      if not try('SADD', QUEUES, entry.queue) then
        give_back(locks)
        error(broken[1])
      end
      if #entries > 1 and not next(known) then
        local allowed, message = pcall(check_rights)
        if not allowed then
          give_back(locks)
          error(message)
        end
      end
      known[entry.queue] = true
    end
    push_admitted(locks, entry.push, entry.list, unpack(ARGV, entry.from, entry.to))
    if entry.push == 'LPUSH' then
      doubt_all(entry.queue, entry.list, entry.to - entry.from + 1)
    end
  end
  reply[i] = refused
end
return reply

-- exchange, 4 of 4: queue -> working, for all idle workers at once, in strict order of the queues.
--
-- A payload framed by braces is copied into the working record as it is, anything else as an escaped string, or if that
-- is long behind a mark (working.rs). Nothing is decoded, so that every popped job gets a record, and no loop of Lua goes
-- over the bytes of a job, because that would hold the server up for seconds.
--
-- An idle worker that has a record already gets no job, so that no record is overwritten; the reply names it.
--
-- Where identities are kept, no job is claimed without the rights to read and to remove them: it would run under another
-- id, and its own would go to the next equal job.
--
-- Paused queues are skipped. One EXISTS asks whether anything is paused at all, and no more names are read than there are queues.
--
-- Jobs may have any size, so that a number of jobs is no bound. No job is popped once those of this call have `room` bytes.
-- Jobs beyond twice the room are on record as the others are, but the reply has the length of their record in place of
-- their bytes, and the caller reads the record in parts.
--
-- Why this order: popped jobs get their records before anything else happens. If the server refuses the records (the
-- right to MSET was taken away), the jobs go back to the heads of their queues. A queue key of another type is skipped.
-- The records of ended claims whose workers got no new job are deleted last, in one DEL. A record that stayed would be
-- run again, so that one that may not be deleted expires. What was claimed is counted for its queue after the records,
-- once for each queue.

-- The longest text that is escaped, which may take six times its length.
local ESCAPED = 1048576

local function quoted(text)
  if not string.find(text, '["\\%c\127]') then
    return '"' .. text .. '"'
  end
  return #text <= ESCAPED and cjson.encode(text) or '=' .. text
end

-- For each of these jobs the bytes under which it has an entry in IDENTITY; nil if no job of the queue has one, which
-- takes one read for all of them. Other programs may write a job anew when they promote it. Then the entry under its
-- old bytes belongs to it, unless a job of the old bytes is on the queue.
local function identified(queue, list, jobs)
  local counts = IDENTITY .. ':queues'
  -- Without counts the entries were written by an earlier version.
  if redis.pcall('HEXISTS', counts, queue) ~= 1 and try('EXISTS', counts) == 1 then
    return nil
  end
  local found, fields, meant, at = {}, {}, {}, {}
  local function look()
    local part = redis.pcall('HMGET', IDENTITY, unpack(fields))
    for i = 1, #fields do
      -- If HMGET fails, each is looked up by itself.
      if not found[at[i]] and (part.err or part[i])
        and (meant[i] == jobs[at[i]] or not redis.pcall('LPOS', list, meant[i], 'MAXLEN', LOOK)) then
        found[at[i]] = meant[i]
      end
    end
    fields, meant, at = {}, {}, {}
  end
  local function ask(i, raw)
    local n = #fields + 1
    fields[n], meant[n], at[n] = queue .. '\n' .. raw, raw, i
  end
  for i, raw in ipairs(jobs) do
    ask(i, raw)
    for _, form in ipairs(forms(queue, raw)) do
      ask(i, form)
    end
    if #fields >= CHUNK or i == #jobs then
      look()
    end
  end
  return found
end

local known, passed = false, {}
local special = idle > 0 and queues > 0 and try('EXISTS', PAUSED, PAUSE_ALL, IDENTITY)
if not special then
  queues = 0
elseif special > 0 then
  known = try('EXISTS', IDENTITY) == 1
  -- Expiries are judged by the time.
  if known and not can_tell_time() then
    queues = 0
  end
  -- Ruby's switch, as Ruby reads it. A key of another type pauses nothing.
  local function unreadable(command, place, answer)
    local message = type(answer) == 'table' and answer.err and named(command, place, answer.err) or ''
    -- What is paused is not known, or who the jobs are.
    if string.find(message, '^REFUSED') then
      broken[#broken + 1] = message
      queues = 0
    end
  end
  for _, command in ipairs(known and { 'HEXISTS', 'HMGET', 'HGET', 'HDEL' } or {}) do
    unreadable(command, IDENTITY, redis.pcall(command, IDENTITY, ''))
  end
  local all = redis.pcall('GET', PAUSE_ALL)
  unreadable('GET', PAUSE_ALL, all)
  if type(all) == 'string' and string.lower(string.match(string.sub(all, 1, 99), '^%s*(.-)%s*$')) == 'true' then
    queues = 0
  else
    -- Anybody may pause any number of queues. Of many the server is asked for ours.
    local count = redis.pcall('SCARD', PAUSED)
    unreadable('SCARD', PAUSED, count)
    if type(count) == 'number' and count <= CHUNK then
      local names = redis.pcall('SMEMBERS', PAUSED)
      unreadable('SMEMBERS', PAUSED, names)
      for i = 1, #names do
        passed[names[i]] = true
      end
    end
    for from = 1, type(count) == 'number' and count > CHUNK and queues or 0, CHUNK do
      local asked = {}
      for q = from, math.min(from + CHUNK - 1, queues) do
        asked[#asked + 1] = string.sub(KEYS[queues_at + q], queue_at)
      end
      if #asked > 0 then
        local marks = redis.pcall('SMISMEMBER', PAUSED, unpack(asked))
        unreadable('SMISMEMBER', PAUSED, marks)
        for i = 1, #marks do
          passed[asked[i]] = marks[i] == 1 or nil
        end
      end
    end
  end
end

local open, count_open = {}, 0
local occupied = {}
for i = 1, idle do
  if ended[i] or not standing[i] then
    count_open = count_open + 1
    open[count_open] = i
  else
    occupied[#occupied + 1] = i - 1
  end
end

-- If a queue holds more than our share, the later queues get no turn: the rest of its jobs go first, to other
-- instances.
local at, shared, held = 0, false, 0
local writes, runs, identities, unshown = {}, {}, {}, {}
-- Its first parts are set below.
local reply = { 'A', '', '', '', '', '', identities }
local JOBS_AT = 7
for q = 1, queues do
  if at >= count_open or shared or held >= room then
    break
  end
  local list = KEYS[queues_at + q]
  local most = 0
  if not (next(passed) and passed[string.sub(list, queue_at)]) then
    most = count_open - at
    if share > 1 then
      local length = redis.pcall('LLEN', list)
      if type(length) == 'number' then
        local part = math.ceil(length / share)
        shared = part < math.min(most, length)
        most = math.min(most, part)
      end
    end
  end
  while most > 0 and held < room do
    local asked = math.min(most, step)
    local popped = redis.pcall('LPOP', list, asked)
    if not popped then
      break
    end
    if popped.err then
      local message = named('LPOP', list, popped.err)
      broken[#broken + 1] = message
      -- A refused command is refused for every queue.
      shared = not string.find(message, '^CORRUPT')
      break
    end
    most = #popped < asked and 0 or most - asked
    local tail = ',' .. run_at .. ARGV[queue_pieces_at + q]
    runs[#runs + 1] = (q - 1) .. ' ' .. #popped
    local entry = known and identified(string.sub(list, queue_at), list, popped)
    for j = 1, #popped do
      at = at + 1
      local i, raw = open[at], popped[j]
      held = held + #raw
      local middle = tail
      if entry and entry[j] then
        local identity = recall(string.sub(list, queue_at), entry[j])
        if identity then
          local id, attempt, redelivered, later = string.match(identity, '^(%S+) (%d+) (%d+) (%d+)$')
          middle = ',"id":' .. quoted(id) .. ',"attempt":' .. attempt .. ',"redelivered":' .. redelivered
            .. ',"later":' .. later .. tail
          identities[#identities + 1] = at - 1
          identities[#identities + 1] = identity
        end
      end
      local body = raw
      if #raw < 2 or string.byte(raw, 1) ~= 123 or string.byte(raw, -1) ~= 125 then
        body = quoted(raw)
      end
      local record = head .. ARGV[pieces_at + i] .. middle .. body .. '}'
      writes[2 * at - 1] = KEYS[workers_at + i]
      writes[2 * at] = record
      ended[i] = nil
      if held > 2 * room then
        unshown[at], raw = raw, #record
      end
      reply[JOBS_AT + at] = raw
    end
  end
end

-- Puts the claims after the first `kept` back to where they came from, the last one first, so that their order is kept.
local function put_back(kept)
  local place = {}
  for _, run in ipairs(runs) do
    local q, length = string.match(run, '^(%d+) (%d+)$')
    for _ = 1, tonumber(length) do
      place[#place + 1] = KEYS[queues_at + q + 1]
    end
  end
  for j = at, kept + 1, -1 do
    local raw = unshown[j] or reply[JOBS_AT + j]
    if not try('LPUSH', place[j], raw) then
      if try('RPUSH', place[j], raw) then
        doubt_all(string.sub(place[j], queue_at), place[j], 1)
      elseif try('SET', writes[2 * j - 1], writes[2 * j]) then
        -- Neither end of the queue takes the job, so that it stays claimed.
        return j
      end
    end
    if identities[#identities - 1] == j - 1 then
      local who = identities[#identities]
      entries(string.sub(place[j], queue_at), raw, function(lines, emptied)
        table.insert(lines, 1, { who = who, due = math.max(seconds(), emptied + 1) })
      end)
      identities[#identities], identities[#identities - 1] = nil, nil
    end
    ended[open[j]] = standing[open[j]] and true or nil
    reply[JOBS_AT + j] = nil
  end
  return kept
end

for from = 1, at, CHUNK do
  local to = math.min(from + CHUNK - 1, at)
  if not try('MSET', unpack(writes, 2 * from - 1, 2 * to)) then
    at = put_back(from - 1)
    break
  end
end

local uncounted, left = at, {}
for _, run in ipairs(runs) do
  local q, length = string.match(run, '^(%d+) (%d+)$')
  local claimed = math.min(tonumber(length), uncounted)
  uncounted = uncounted - claimed
  left[q] = (left[q] or 0) + claimed
end
for q, claimed in pairs(left) do
  if claimed > 0 then
    count_departed(try, string.sub(KEYS[queues_at + q + 1], queue_at), claimed)
  end
end

local gone = {}
for i in pairs(ended) do
  gone[#gone + 1] = KEYS[workers_at + i]
end
for from = 1, #gone, CHUNK do
  remove(unpack(gone, from, math.min(from + CHUNK - 1, #gone)))
end

local lost_list, entered_list = table.concat(lost, ','), table.concat(entered, ',')
if #repeats > 0 then
  entered_list = entered_list .. ';' .. table.concat(repeats, ',')
end
if enters > 0 or #broken > 0 or #repeats > 0 then
  try('HSET', LANE, lane, whole(sequence) .. '\n' .. lost_list .. '\n' .. entered_list)
end

reply[2], reply[3] = lost_list, entered_list
if at < count_open and held >= room then
  runs[#runs + 1] = '+'
end
reply[4], reply[5] = table.concat(broken, '\30'), table.concat(runs, ',')
if at > 0 and open[at] ~= at then
  for i = 1, at do
    open[i] = open[i] - 1
  end
  reply[6] = table.concat(open, ',', 1, at)
end
if #occupied > 0 then
  reply[6] = reply[6] .. ';' .. table.concat(occupied, ',')
end
return reply

-- Fragment: who a job was ends with it.
--
-- Both tell whether a job of these bytes was on a further attempt.

local function is_repeated(line)
  return tonumber(string.match(line.who, '^%S+ (%d+)')) > 1
end

-- Does any job of this queue have an entry? Deletions of jobs that were never run need no further look. Asked before
-- anything is deleted: it ends the script if a command is refused that forgetting takes.
local function has_entries(queue)
  local counts = IDENTITY .. ':queues'
  if may('HEXISTS', counts, queue) ~= 1 then
    return false
  end
  local count = may('HGET', counts, queue)
  if type(count) == 'string' then
    may('HSET', counts, queue, count)
  end
  may('HDEL', IDENTITY, '')
  may('LPOS', IDENTITY, '')
  may('LLEN', IDENTITY)
  return true
end

-- `gone` jobs of these bytes were deleted from the queue, from its head on. The first jobs are taken to be those that
-- have the entries, as a claim does. Without `gone` they were deleted from the tail: no more entries stay than jobs.
local function forget_queued(queue, list, raw, gone)
  local repeated = false
  entries(queue, raw, function(lines)
    local queued = {}
    for i, line in ipairs(lines) do
      if is_queued(line, raw) then
        queued[#queued + 1] = i
      end
    end
    if not gone and #queued > 0 then
      local left = try('LPOS', list, raw, 'COUNT', #queued, 'MAXLEN', LOOK) or {}
      -- In a longer list the look ends too early to tell; then the sweep sees to it.
      gone = (try('LLEN', list) or 0) > LOOK and 0 or #queued - #left
    end
    for i = math.min(gone or 0, #queued), 1, -1 do
      repeated = is_repeated(table.remove(lines, queued[i])) or repeated
    end
  end)
  return repeated
end

-- Jobs of these bytes were deleted from delayed seconds: second -> how many.
local function forget_delayed(queue, raw, gone)
  local repeated = false
  entries(queue, raw, function(lines)
    for i = #lines, 1, -1 do
      local left = gone[whole(lines[i].due)] or 0
      if left > 0 then
        gone[whole(lines[i].due)] = left - 1
        repeated = is_repeated(table.remove(lines, i)) or repeated
      end
    end
  end)
  return repeated
end

-- The same for deletions by people: `one` has raw, most, and the keys of Retry's counter and last error or nil. `gone` jobs
-- of these bytes were deleted from the queue, counted from the tail or from the head.
local function forget_deleted(queue, list, one, gone, tail)
  if gone > 0 then
    local from_tail = tail and one.most ~= ''
    if forget_queued(queue, list, one.raw, not from_tail and gone or nil) and one.counter then
      try('DEL', one.counter, one.failure)
    end
  end
end

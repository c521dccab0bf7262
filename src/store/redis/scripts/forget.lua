-- Fragment: removes the identities of deleted jobs.
--
-- `forget_queued` and `forget_delayed` return whether one of the jobs had been tried before.

local function is_repeated(line)
  return tonumber(string.match(line.who, '^%S+ (%d+)')) > 1
end

-- Does any job of this queue have an entry? If not, there is nothing to forget. Called before anything is deleted,
-- because it ends the script if a command is refused that forgetting needs.
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

-- `gone` jobs of these bytes were deleted from the head of the queue. The entries are taken to belong to the first
-- jobs, as a claim takes them. Without `gone` the jobs were deleted from the tail, and as many entries stay as jobs.
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
      -- Only a part of a longer list is searched. There the sweep removes the entries later.
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

-- The same with Retry's keys: `one` has raw, most, and the keys of Retry's counter and last error or nil. `gone` jobs
-- of these bytes were deleted from the queue, counted from the tail or from the head.
local function forget_deleted(queue, list, one, gone, tail)
  if gone > 0 then
    local from_tail = tail and one.most ~= ''
    if forget_queued(queue, list, one.raw, not from_tail and gone or nil) and one.counter then
      try('DEL', one.counter, one.failure)
    end
  end
end

-- A number of keys.
local function read_places()
  local places = {}
  for i = 1, tonumber(arg()) do
    places[i] = key()
  end
  return places
end

-- Frees the locks of jobs that were deleted: a lock ends with its job. The jobs are gone, so that this ends no script.
local function free_with(one, gone)
  if gone > 0 and #one.locks > 0 then
    remove_locks(unpack(one.locks))
  end
end

-- Fragment: who the jobs are that were put off or given back.
--
-- IDENTITY is a hash, `<queue>\n<bytes>` -> one line for each such job of these bytes, the oldest first:
-- `<id> <attempt> <redelivered> <later> <expiry>`. A line expires KEPT seconds after its job was due.
--
-- Beside it stands a hash, queue -> `<fields> <emptied>`: how many fields above belong to the queue, so that a claim
-- from another queue looks nothing up; and the second in which the queue was deleted with all its jobs, for lines of
-- jobs that were due by then are void. Its key is the declared one, followed by ":queues".

-- Has `edit` change the lines of a job's bytes, each { who, due }, and writes them back.
local function entries(queue, raw, edit)
  local field, counts = queue .. '\n' .. raw, IDENTITY .. ':queues'
  local old = try('HGET', IDENTITY, field)
  local count, emptied = string.match(try('HGET', counts, queue) or '', '^(%d+) (%d+)$')
  count, emptied = tonumber(count or 0), tonumber(emptied or 0)
  local lines = {}
  for line in string.gmatch(old or '', '[^\n]+') do
    local who, expiry = string.match(line, '^(%S+ %d+ %d+ %d+) (%d+)$')
    local due = who and tonumber(expiry) - KEPT
    if due and due + KEPT > seconds() and due > emptied then
      lines[#lines + 1] = { who = who, due = due }
    end
  end
  edit(lines, emptied)
  local fields = count
  if #lines > 0 then
    local texts = {}
    for i, line in ipairs(lines) do
      texts[i] = line.who .. ' ' .. whole(line.due + KEPT)
    end
    local text = table.concat(texts, '\n')
    if text ~= old then
      try('HSET', IDENTITY, field, text)
    end
    -- Earlier versions counted nothing. An emptied field is counted no more.
    fields = old and old ~= '' and math.max(count, 1) or count + 1
  elseif old then
    -- What cannot be removed is emptied, or the next equal job would be taken for this one.
    if not try('HDEL', IDENTITY, field) then
      try('HSET', IDENTITY, field, '')
    end
    fields = old == '' and count or count - 1
  end
  if fields > 0 and fields ~= count then
    try('HSET', counts, queue, whole(fields) .. ' ' .. whole(emptied))
  elseif fields <= 0 and count > 0 then
    try('HDEL', counts, queue)
  end
end

-- Keeps who a job is, which is due at this second.
local function remember(queue, raw, identity, due)
  entries(queue, raw, function(lines, emptied)
    lines[#lines + 1] = { who = identity, due = math.max(due, emptied + 1) }
  end)
end

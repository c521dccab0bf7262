-- Fragment: who the jobs are that were put off or given back.
--
-- IDENTITY is a hash, `<queue>\n<bytes>` -> one line for each such job of these bytes, the oldest first:
-- `<id> <attempt> <redelivered> <later> <expiry>`. The expiry is KEPT seconds after its job was due. Only the sweep heeds
-- it, and only where a search finds neither the job nor that it is gone: a clock that is ahead for a moment ends nothing.
--
-- A second hash, queue -> `<fields> <emptied>`, tells how many of these fields belong to a queue, so that a claim from
-- another queue looks nothing up. It also tells the second in which the queue was deleted with all its jobs: lines of
-- jobs that were due by then are void. Its key is the declared one followed by ":queues".

-- The lines of a field are read up to this length, some ten thousand jobs; what another program wrote may have any.
local READ = 1048576

-- Did the last call fail because a right is missing?
local function lacked_a_right()
  return string.find(broken[#broken] or '', '^REFUSED') ~= nil
end

-- Has `edit` change the lines of a job's bytes, each { who, due }, and writes them back. False if that is refused for want
-- of a right. A key of another type holds no lines.
local function entries(queue, raw, edit)
  local field, counts = queue .. '\n' .. raw, IDENTITY .. ':queues'
  local old = try('HGET', IDENTITY, field)
  if old == nil and lacked_a_right() then
    return false
  end
  local count, emptied = string.match(try('HGET', counts, queue) or '', '^(%d+) (%d+)$')
  count, emptied = tonumber(count or 0), tonumber(emptied or 0)
  local lines = {}
  for line in string.gmatch(string.sub(old or '', 1, READ), '[^\n]+') do
    local who, expiry = string.match(line, '^(%S+ %d+ %d+ %d+) (%d+)$')
    local due = who and tonumber(expiry) - KEPT
    if due and due > emptied then
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
    if text ~= old and not try('HSET', IDENTITY, field, text) and lacked_a_right() then
      return false
    end
    -- Earlier versions did not count fields. An emptied field is not counted.
    fields = old and old ~= '' and math.max(count, 1) or count + 1
  elseif old then
    -- A field that cannot be removed is emptied, because the next equal job would be taken for this one.
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
  return true
end

-- Did a run of it begin before? Not if a JobLock put it back before it could.
local function has_begun(who)
  return not string.find(who, ' 1 0 0$')
end

-- In which seconds jobs of these bytes wait that have begun before, to run again, and how many in each.
local function begun(queue, raw)
  local found = {}
  entries(queue, raw, function(lines)
    for _, line in ipairs(lines) do
      if has_begun(line.who) then
        local second = whole(line.due)
        found[second] = (found[second] or 0) + 1
      end
    end
  end)
  return found
end

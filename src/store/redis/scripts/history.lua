-- Fragment: counts of what ran are added to the present minute, ten minutes and hour.
--
-- ARGV, to the end: per batch its sequence and its number of tasks, per task its name and its counts (run_counts.rs)
--
-- A bucket is a hash: task -> counts. The key of a bucket depends on the store's own time, so that only the script knows
-- it: it is the declared prefix, the length of the step and the minute at which the bucket begins (places.lua says why that
-- may be). Counts longer than PIECE go on in further fields, `<task>\n2` and so on, because a hash takes several times the
-- memory if one of its values is long, or if it has more than 128 fields.
--
-- Nothing here ends the script: every call is a `try`. Why this order: the sequence is written first, and what is not
-- written after it is lost, but nothing is ever counted twice. A batch that was taken is not taken again.

local STEPS = { { ':', 1, 10800 }, { '10:', 10, 259200 }, { '60:', 60, 2592000 } }
local PIECE, PIECES, MOST_TASKS, DIGITS, MOST_COUNTED = 64, 4, 100, 15, 999999999999999
-- Counts of ours are shorter.
local LONGEST = 4096
-- These have a place in every bucket. Tasks that find no room count as the second.
local RESERVED = { _all = true, _other = true, _unknown = true }

-- Nil if the text is none of ours.
local function read_counts(text)
  if #text > LONGEST then
    return nil
  end
  local counts, length = {}, 0
  for letter, number in string.gmatch(text, '([A-Za-z])(%d+)') do
    length = length + 1 + #number
    if #number > DIGITS then
      return nil
    end
    counts[letter] = (counts[letter] or 0) + tonumber(number)
  end
  return length == #text and counts or nil
end

-- As fields of a bucket.
local function write_counts(writes, task, counts)
  local letters, pieces = {}, { '' }
  for letter in pairs(counts) do
    letters[#letters + 1] = letter
  end
  table.sort(letters)
  for _, letter in ipairs(letters) do
    local item = letter .. whole(math.min(counts[letter], MOST_COUNTED))
    if #pieces < PIECES and #pieces[#pieces] + #item > PIECE then
      pieces[#pieces + 1] = item
    else
      pieces[#pieces] = pieces[#pieces] .. item
    end
  end
  for i, piece in ipairs(pieces) do
    writes[#writes + 1] = i == 1 and task or task .. '\n' .. i
    writes[#writes + 1] = piece
  end
  return #pieces
end

-- The fields of a task's counts.
local function fields_of(fields, task)
  fields[#fields + 1] = task
  for i = 2, PIECES do
    fields[#fields + 1] = task .. '\n' .. i
  end
end

local function add_to_bucket(place, tasks, deltas, kept_s)
  local fields = {}
  for _, task in ipairs(tasks) do
    fields_of(fields, task)
  end
  fields_of(fields, '_other')
  local held = try('HMGET', place, unpack(fields))
  if not held then
    return
  end
  -- What a task has, and in how many fields.
  local function kept(i)
    local first = (i - 1) * PIECES
    local text, count = held[first + 1] or nil, 1
    while text and count < PIECES and held[first + count + 1] do
      count = count + 1
      text = text .. held[first + count]
    end
    return text, count
  end
  local sums, spans, order, room = {}, {}, {}, nil
  local function sum_of(task, i)
    if not sums[task] then
      local text, span = kept(i)
      local counts = read_counts(text or '')
      if not counts then
        broken[#broken + 1] = 'CORRUPT ' .. place .. '\31COUNTS ' .. task .. '\31'
          .. string.gsub(string.sub(text, 1, 80), '[^ -~]', '?')
        counts = {}
      end
      sums[task], spans[task] = counts, text and span or 0
      order[#order + 1] = task
    end
    return sums[task]
  end
  for i, task in ipairs(tasks) do
    local at = i
    if not RESERVED[task] and not held[(i - 1) * PIECES + 1] then
      room = room or MOST_TASKS - (try('HLEN', place) or MOST_TASKS)
      if room > 0 then
        room = room - 1
      else
        task, at = '_other', #tasks + 1
      end
    end
    local sum = sum_of(task, task == '_other' and #tasks + 1 or at)
    for letter, number in pairs(deltas[i]) do
      sum[letter] = (sum[letter] or 0) + number
    end
  end
  local writes, stale = {}, {}
  for _, task in ipairs(order) do
    for i = write_counts(writes, task, sums[task]) + 1, spans[task] do
      stale[#stale + 1] = task .. '\n' .. i
    end
  end
  try('HSET', place, unpack(writes))
  if #stale > 0 then
    try('HDEL', place, unpack(stale))
  end
  try('PEXPIRE', place, whole(kept_s * 1000))
end

-- Adds the batches that follow; returns the sequence of the last one that was taken.
local function take_counts(lane, history)
  local last = try('HGET', lane, 'ran')
  local known = last ~= nil and can_tell_time()
  local taken = tonumber(string.match(last or '', '^%d+$') or 0)
  while ARGV[a + 1] do
    local sequence, tasks, deltas = tonumber(arg()), {}, {}
    for i = 1, tonumber(arg()) do
      tasks[i], deltas[i] = arg(), read_counts(arg()) or {}
    end
    if known and sequence > taken and try('HSET', lane, 'ran', whole(sequence)) then
      taken = sequence
      for _, step in ipairs(STEPS) do
        local minute = math.floor(seconds() / 60 / step[2]) * step[2]
        add_to_bucket(history .. step[1] .. whole(minute), tasks, deltas, step[3] + step[2] * 60)
      end
    end
  end
  return whole(taken)
end

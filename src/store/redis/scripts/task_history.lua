-- task_history: a read of what ran of each task in some buckets (history.lua).
--
-- KEYS   the buckets
-- ARGV   now (unused), the most fields of a bucket that are read, the longest field and the longest value in bytes
-- returns per bucket {"+" if it has more fields than are read, field, value, ...}; a field that is too long is cut, and a value
--         that is too long, or of such a field, is empty; {""} for a key of another type
--
-- Why this order: none; nothing is written. A bucket of ours has few short fields. Of one that somebody else filled no more is
-- read, some fields at a time.

local most, longest_field, longest_value = tonumber(arg()), tonumber(arg()), tonumber(arg())

local function read_bucket(place, length)
  local read, cursor, more = { '' }, '0', false
  if length > most then
    -- The sums for all tasks must not be missed among the fields of others.
    for _, name in ipairs({ '_all', '_other', '_unknown' }) do
      local fields = { name, name .. '\n2', name .. '\n3', name .. '\n4' }
      for i, value in ipairs(must('HMGET', place, unpack(fields))) do
        if value and #value <= longest_value then
          read[#read + 1] = fields[i]
          read[#read + 1] = value
        end
      end
    end
  end
  repeat
    local page
    -- So few are read in one piece.
    if length <= most then
      page = { '0', must('HGETALL', place) }
    else
      page = must('HSCAN', place, cursor, 'COUNT', 100)
    end
    cursor = page[1]
    for i = 1, #page[2], 2 do
      local field, value = page[2][i], page[2][i + 1]
      if #read > 2 * most then
        more = true
        break
      end
      local fits = #field <= longest_field and #value <= longest_value
      read[#read + 1] = string.sub(field, 1, longest_field)
      read[#read + 1] = fits and value or ''
    end
  until cursor == '0' or more
  read[1] = more and '+' or ''
  return read
end

local reply = {}
for i = 1, #KEYS do
  local place = key()
  local length = redis.pcall('HLEN', place)
  if type(length) ~= 'table' then
    reply[i] = length > 0 and read_bucket(place, length) or { '' }
  elseif string.find(length.err, 'WRONGTYPE', 1, true) then
    reply[i] = { '' }
  else
    error(named('HLEN', place, length.err))
  end
end
return reply

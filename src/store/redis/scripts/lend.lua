-- Fragment: long values that stand in a record are not sent (lending.rs). They are put together before they are read.
--
-- ARGV   from behind the place that the caller names: number of records; per record: its position, "" if the script has
--        compared it, the length of the job with which it must end, or "#" and its digest (SHA-1); number of values; per
--        value: "K" or "A", its place in KEYS or ARGV, number of ranges; per range: the text before it, how far from the end of the
--        record it begins, its length; then the text behind all ranges

-- What does not lend, by position: its record is another than the caller takes it for.
local unlent = {}

local function lends(record, check)
  if check == '' then
    return true
  elseif string.sub(check, 1, 1) == '#' then
    return redis.sha1hex(record) == string.sub(check, 2)
  end
  local length = tonumber(check)
  return string.sub(record, -length - 12, -length - 2) == ',"payload":' and string.sub(record, -1) == '}'
end

-- Puts the values together that these records lend.
local function borrow(at, records)
  if at == 0 then
    return
  end
  local function next_arg()
    at = at + 1
    return ARGV[at]
  end
  for _ = 1, tonumber(next_arg()) do
    local position, check = tonumber(next_arg()), next_arg()
    local record = records[position] or ''
    local lent = lends(record, check)
    unlent[position] = not lent or nil
    for _ = 1, tonumber(next_arg()) do
      local values = next_arg() == 'K' and KEYS or ARGV
      local place, parts = tonumber(next_arg()), {}
      for i = 1, tonumber(next_arg()) do
        parts[2 * i - 1] = next_arg()
        local behind, length = tonumber(next_arg()), tonumber(next_arg())
        parts[2 * i] = lent and string.sub(record, -behind, length - behind - 1) or ''
      end
      parts[#parts + 1] = next_arg()
      if lent then
        values[place] = table.concat(parts)
      end
    end
  end
end

-- Tells that a job cannot be taken out of its record under this key.
local function tell_unlent(place)
  broken[#broken + 1] = 'UNLENT ' .. place
end

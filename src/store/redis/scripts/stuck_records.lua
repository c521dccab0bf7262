-- stuck_records: the newest failure records that were written when workers were removed.
--
-- KEYS   failed
-- ARGV   now (unused), how many of the newest are passed over, how many are looked at; the marker as it stands in such
--        a record, number of workers, per worker its member as it stands in its records: `"worker":"<name>"`
-- returns {how many are passed over or looked at, 0 if there are no older ones; when the oldest of them was written, as
--         it says itself, or ""; of the records that carry the marker and one of the members, the newest first, each its position
--         from the head, and it as announce.lua tells it}. It ends with the record with which the reply has ROOM bytes.
--
-- Why this order: none; nothing is written.

local FAILED = key()
local past, looks = tonumber(arg()), tonumber(arg())
local marker, count = arg(), tonumber(arg())
local names = {}
for i = 1, count do
  names[i] = arg()
end
local records, length = read_page(FAILED, past, looks, true), must('LLEN', FAILED)
local found, bytes, oldest = { 0, '' }, 0, nil
for at, record in ipairs(records) do
  oldest = record
  if string.find(record, marker, 1, true) then
    for i = 1, count do
      if string.find(record, names[i], 1, true) then
        local told = announce({ record })[1]
        bytes = bytes + (type(told) == 'table' and BEGINNING + ENDING or #told)
        found[#found + 1] = length - past - at
        found[#found + 1] = told
        break
      end
    end
  end
  if bytes > ROOM or at == #records then
    if length > past + at then
      found[1] = past + at
    end
    break
  end
end
-- The date is the first or the last member of a record; the members between them may be as long as a job.
if oldest then
  local date = '"failed_at":"([^"]*)"'
  found[2] = string.match(string.sub(oldest, -200), '.*' .. date)
    or string.match(string.sub(oldest, 1, 100), date) or ''
end
return found

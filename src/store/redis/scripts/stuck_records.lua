-- stuck_records: what the newest failure records say of workers that somebody removed.
--
-- KEYS   failed
-- ARGV   now (unused), how many of the newest are passed over, how many are looked at, the marker as it stands in
--        such a record, number of workers, per worker its member as it stands in its records: `"worker":"<name>"`
-- returns {1 if there are older ones, else 0; the records that carry the marker and one of the members, the newest
--         first}
--
-- Why record by record: one may be as long as a job's arguments, and most are of no interest.

local FAILED = key()
local past, looks, marker, count = tonumber(arg()), tonumber(arg()), arg(), tonumber(arg())
local names = {}
for i = 1, count do
  names[i] = arg()
end
local length = must('LLEN', FAILED)
local found = { length > past + looks and 1 or 0 }
for position = past + 1, math.min(past + looks, length) do
  local record = redis.call('LRANGE', FAILED, -position, -position)[1]
  if string.find(record, marker, 1, true) then
    for i = 1, count do
      if string.find(record, names[i], 1, true) then
        found[#found + 1] = record
        break
      end
    end
  end
end
return found

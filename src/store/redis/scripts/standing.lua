-- Fragment: long values that stand in a list are taken from there before anything else is read (lend.lua). It comes first in the
-- second form of a script, for calls about such values; the script itself does not know.
--
-- ARGV   last: behind which argument it reads: number of values; of each the place of its list in KEYS, and its position; then as
--        lend.lua
-- returns the status MOVED, and nothing is done, if another value stands there

local function take_standing()
  local at = tonumber(ARGV[#ARGV])
  local count, records = tonumber(ARGV[at + 1]), {}
  for i = 1, count do
    local list, position = KEYS[tonumber(ARGV[at + 2 * i])], ARGV[at + 2 * i + 1]
    records[i] = must('LRANGE', list, position, position)[1]
  end
  borrow(at + 1 + 2 * count, records)
  return next(unlent) == nil
end
if not take_standing() then
  return redis.status_reply('MOVED')
end

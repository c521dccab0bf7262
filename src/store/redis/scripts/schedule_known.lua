-- schedule_known: nowhere -> delayed, for one job that has an id already: it is delayed with it, unless a job of the same bytes is
-- due in the same second.
--
-- KEYS   as places.lua; timestamps:<raw>; the mark, if it has one
-- ARGV   now; "A" and a second, or "I" and milliseconds from now; raw, queue, identity; then as in schedule.lua "M", the mark's
--        text before the second and behind it, for how many seconds it stands; else ""
-- returns as schedule.lua
--
-- Why this order: as in schedule.lua. The identity is written before the job, because a job without it would run under another
-- id, and taken out again if the job cannot be put there.

needs_room = true
local stamps = key()
local kind, value, raw, queue, identity = arg(), arg(), arg(), arg(), arg()
local second = value
if kind == 'I' then
  second = whole(math.floor((now() + tonumber(value)) / 1000 + 0.5))
end
local MARK, before, after, lasts
if arg() == 'M' then
  MARK, before, after, lasts = key(), arg(), arg(), arg()
  if must('EXISTS', MARK) == 1 then
    return { '!' }
  end
end
if must('SISMEMBER', stamps, 'delayed:' .. second) == 1 then
  return { '=' .. second }
end
if MARK and not try('SET', MARK, before .. second .. after, 'EX', lasts) then
  error(broken[1])
end
if not put_known(queue, raw, identity, tonumber(second), function()
  return delay(second, raw, stamps)
end) then
  if MARK then
    remove(MARK)
  end
  error(broken[1])
end
return { second }

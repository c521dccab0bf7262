-- Fragment: reads a periodic task's entry, `<due> <period> <1 if stopped> <queue>`.

-- The last second that a date can hold (stored.rs).
local LAST_DATE = 8640000000000

-- Its due second and period as they are written, '1' if the task is stopped, its queue. Nothing of what PeriodicEntry::decode
-- does not read: that counts as no entry, and is written anew.
local function read_entry(entry)
  local due, every, stopped, queue = string.match(entry or '', '^([+-]?%d+) (%+?%d+) ([^ ]*) (.*)$')
  if due and math.abs(tonumber(due)) <= LAST_DATE and tonumber(every) <= LAST_DATE then
    return due, every, stopped, queue
  end
end

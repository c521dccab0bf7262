-- Fragment: a periodic task's entry, `<due> <period> <state> <queue>`. The state is 1 if it is stopped, otherwise 0 and, if it
-- is known, `:<last>`: the second for which the tick before was due. Only calendars have that. Behind both stands `!` if people
-- asked for the run that is outstanding, until the next tick is written.

-- The last second that a date can hold (stored.rs).
local LAST_DATE = 8640000000000

-- Its due second and period as they are written, '1' if the task is stopped, its queue, the last second, whether people asked for the run.
-- Nothing of what PeriodicEntry::decode does not read: that counts as no entry, and is written anew.
local function read_entry(entry)
  local due, every, state, queue = string.match(entry or '', '^([+-]?%d+) (%+?%d+) ([^ ]*) (.*)$')
  if due and math.abs(tonumber(due)) <= LAST_DATE and tonumber(every) <= LAST_DATE then
    local last = tonumber((string.match(state, '^0:([+-]?%d+)!?$')))
    return due, every, state, queue, last and math.abs(last) <= LAST_DATE and last or nil, string.sub(state, -1) == '!'
  end
end

local function is_stopped(entry)
  local _, _, state = read_entry(entry)
  return state == '1'
end

-- The last second of a stopped task stands in a second hash, task -> second, whose key is the declared one followed by
-- ":stopped": an earlier version takes a task for stopped only if its state is nothing but 1.
local STOPPED = PERIODIC .. ':stopped'

-- For which second a stopped task ran last, if that is known.
local function ran_before_stop(task)
  local last = tonumber(string.match(try('HGET', STOPPED, task) or '', '^[+-]?%d+$'))
  return last and math.abs(last) <= LAST_DATE and last or nil
end

-- Keeps for which second a stopped task ran last. Nil forgets it.
local function keep_ran(task, last)
  if last then
    try('HSET', STOPPED, task, whole(last))
  else
    try('HDEL', STOPPED, task)
  end
end

-- The entry of a task that is not stopped.
local function entry_of(due, every, last, queue, asked)
  local known = last and every == 0 and ':' .. whole(last) or ''
  return whole(due) .. ' ' .. whole(every) .. ' 0' .. known .. (asked and '!' or '') .. ' ' .. queue
end

-- Was the outstanding run of this entry due more than so many seconds ago? One that people asked for has no age: they asked for
-- every run of a task that is stopped or has halted.
local function is_late(entry, age)
  local due, _, stopped, _, _, asked = read_entry(entry)
  return due and due ~= HALTED and stopped ~= '1' and not asked and seconds() - tonumber(due) > age
end

-- Fragment: when a periodic task is due next.
--
-- ARGV  period in s; or 0 for a calendar, then the number of occurrences that were computed, and
--       for each its second and the second to which its job is delayed

local function read_cadence()
  local every = tonumber(arg())
  local times = {}
  if every == 0 then
    for i = 1, tonumber(arg()) do
      times[i] = { tonumber(arg()), tonumber(arg()) }
    end
  end
  return { every = every, times = times }
end

-- The first due second after `due` (nil: none yet) and after the store's now, and the second to which the job is
-- delayed. Nil if no occurrence is later, as when the clock was set forward since they were computed; then the entry
-- goes, and reconcile.lua finds the next one. The third result is whether none lies between `due` and it. With a period, a
-- `due` of the future counts as now, because the clock was set back since; one second is allowed, because node-resque promotes
-- up to a second early. With a calendar that occurrence ran and does not come again; what lies too far ahead for the task is
-- moved by reconcile.lua.
local EARLY_S, SET_BACK_S = 1, 10
-- A tick that is at most this late is not skipped: over a long path a run ends late.
local LATE_S = 1
local function next_due(cadence, due)
  if due and cadence.every > 0 and due > seconds() + EARLY_S then
    due = nil
  end
  if cadence.every > 0 then
    local base = due or seconds()
    local periods = math.max(math.floor((now() / 1000 - LATE_S - base) / cadence.every) + 1, 1)
    local second = base + periods * cadence.every
    return second, second, due and periods == 1
  end
  local floor = due and math.max(due, seconds() - LATE_S) or seconds()
  for i, time in ipairs(cadence.times) do
    if time[1] > floor then
      return time[1], time[2], i > 1 and cadence.times[i - 1][1] == due
    end
  end
end

-- How many seconds after its own a tick is put at most.
local ASIDE_S = 60

-- The second for which the present tick of a task is due, by its entry. Nil for a task without one, for one that is stopped
-- or has halted, because people asked for this run, and if the second lies ahead, because this run is no tick then.
local function present_due(entry)
  local due, every, stopped = read_entry(entry)
  if not due or due == HALTED or stopped == '1' then
    return nil
  end
  if tonumber(due) > seconds() + (tonumber(every) > 0 and EARLY_S or SET_BACK_S) then
    return nil
  end
  return whole(tonumber(due))
end

-- Delays a tick to its second or, if a key of another type stands there, to the next one that is free; the entry keeps its
-- own. The first such key is told. Nil if it could not be delayed.
local function delay_tick(second, raw, stamps)
  local told = #broken + 1
  for at = second, second + ASIDE_S do
    if delay(whole(at), raw, stamps) then
      return true
    end
    local key = 'CORRUPT ' .. DELAYED .. whole(at) .. '\31'
    if string.sub(broken[#broken] or '', 1, #key) ~= key then
      return nil
    end
    for i = #broken, told + 1, -1 do
      broken[i] = nil
    end
  end
end

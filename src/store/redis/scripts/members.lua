-- Fragment: a worker's keys and how it is registered and removed, as node-resque does both.
--
-- per worker  KEYS worker:<id>, worker:<id>:started, worker:ping:<name>, stat:processed:<name>,
--                  stat:failed:<name>
--             ARGV id, the ping from its name on: `,"name":..,"queues":..}`

local function member()
  return {
    working = key(), started = key(), ping = key(), processed = key(), failed = key(),
    id = arg(), tail = arg(),
  }
end

local function members(count)
  local list, places = {}, {}
  for i = 1, count do
    list[i] = member()
    places[i] = list[i].working
  end
  return list, chunked('MGET', places, count)
end

local function ping(worker)
  return '{"time":' .. whole(seconds()) .. worker.tail
end

local function enrol(call, set, worker)
  call('SADD', set, worker.id)
  call('SET', worker.started, whole(seconds()))
end

-- Removes keys, or ends the script. What was refused meanwhile is no finding, because they are gone.
local function clear(...)
  local found = #broken
  if not remove(...) then
    error(broken[#broken])
  end
  for i = #broken, found + 1, -1 do
    broken[i] = nil
  end
end

-- Of a worker's keys only the set can be of the wrong type; DEL takes any type.
local function strike(call, set, worker)
  clear(worker.started, worker.ping, worker.processed, worker.failed)
  call('SREM', set, worker.id)
end

-- Does this record belong to a claim of this instance?
local function claimed_by(instance, record)
  local opening = '{"claim":"' .. instance .. '-'
  return record and string.sub(record, 1, #opening) == opening
end

-- sweep_identities: removes the entries of jobs that other programs deleted or ran.
--
-- KEYS   as places.lua; "queue:" and "timestamps:" (prefixes, see places.lua)
-- ARGV   now, HSCAN's cursor, how many fields are looked at, roughly
-- returns the next cursor, "0" at the end
--
-- A job is searched in the delayed second of its entry, in those of its stamps, and in its queue. If a list is longer
-- than what is searched, the entry stays until it expires. It also stays if it was due a moment ago, because node-resque moves a job in
-- two steps.
--
-- Why this order: each entry is judged and written by itself. If a read is refused, nothing is known of any job, and
-- the sweep ends with that error.

local CALM = 60

local QUEUE, STAMPS = key(), key()
local cursor, most = arg(), arg()

-- The reply, or nil where a key of another type stands.
local function look(command, place, ...)
  local reply = may(command, place, ...)
  if type(reply) == 'table' and reply.err then
    return nil
  end
  return reply
end

-- How many of so many wanted jobs stand in a list; nil if that cannot be told.
local function standing(list, raw, wanted)
  local places = look('LPOS', list, raw, 'COUNT', wanted, 'MAXLEN', LOOK) or {}
  if #places < wanted and (look('LLEN', list) or 0) > LOOK then
    return nil
  end
  return #places
end

-- The same on the queue, in whatever bytes a promoter may have put the jobs there.
local function queued(queue, raw, wanted)
  local count = standing(QUEUE .. queue, raw, wanted)
  for _, form in ipairs(forms(queue, raw)) do
    local more = count and standing(QUEUE .. queue, form, wanted)
    count = more and count + more
  end
  return count
end

-- How many stand in other delayed seconds than these; nil if that cannot be told.
local function elsewhere(raw, seen, wanted)
  local place = STAMPS .. raw
  if (look('SCARD', place) or 0) > LOOK then
    return nil
  end
  local count = 0
  for _, stamp in ipairs(look('SMEMBERS', place) or {}) do
    local second = string.match(stamp, '^delayed:(%d+)$')
    if second and not seen[tonumber(second)] then
      local more = standing(DELAYED .. second, raw, wanted)
      if not more then
        return nil
      end
      count = count + more
    end
  end
  return count
end

local function sweep(queue, raw)
  entries(queue, raw, function(lines)
    local delayed, rest = {}, {}
    for i, line in ipairs(lines) do
      local left = delayed[line.due] or standing(DELAYED .. whole(line.due), raw, #lines) or math.huge
      if left > 0 then
        delayed[line.due] = left - 1
      else
        delayed[line.due] = 0
        rest[#rest + 1] = i
      end
    end
    if #rest == 0 then
      return
    end
    local there, other = queued(queue, raw, #rest), elsewhere(raw, delayed, #rest)
    local known = there and other
    local surplus = known and #rest - there - other or 0
    local dropped = {}
    for _, i in ipairs(rest) do
      local due = lines[i].due
      if surplus > 0 and (due > seconds() or due < seconds() - CALM) then
        surplus = surplus - 1
        dropped[#dropped + 1] = i
      elseif not known and due + KEPT <= seconds() then
        dropped[#dropped + 1] = i
      end
    end
    for i = #dropped, 1, -1 do
      table.remove(lines, dropped[i])
    end
  end)
end

local page = look('HSCAN', IDENTITY, cursor, 'COUNT', most)
if not page then
  return '0'
end
for i = 1, #page[2], 2 do
  local queue, raw = string.match(page[2][i], '^([^\n]*)\n(.*)$')
  if queue then
    sweep(queue, raw)
  end
end
return page[1]

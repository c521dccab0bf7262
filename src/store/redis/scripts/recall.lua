-- Fragment: finds the identity of a job that leaves its place.

-- How many jobs of a list are searched at most to find one.
local LOOK = 500

-- Does this entry belong to a job on the queue? node-resque promotes up to a second early, and people promote by hand.
local function is_queued(line, raw)
  return line.due <= seconds() + 1 or not try('LPOS', DELAYED .. whole(line.due), raw, 'MAXLEN', LOOK)
end

-- The other bytes that a promoted job may have: resque-scheduler drops the queue, node-resque writes it behind the
-- class. Only for jobs as these programs write them, without blanks or escapes up to the arguments.
local function forms(queue, raw)
  local class, rest = string.match(raw, '^({"class":"[^"\\]*")(,.*)}$')
  if not class or string.find(queue, '["\\%c]') then
    return {}
  end
  local named = ',"queue":"' .. queue .. '"'
  if string.sub(rest, 1, #named) == named then
    rest = string.sub(rest, #named + 1)
  elseif string.sub(rest, -#named) == named then
    rest = string.sub(rest, 1, -#named - 1)
  end
  local others = {}
  for _, form in ipairs({ class .. named .. rest .. '}', class .. rest .. named .. '}', class .. rest .. '}' }) do
    if form ~= raw then
      others[#others + 1] = form
    end
  end
  return others
end

-- Takes out the oldest entry of a job that was on its queue or, if `second` is given, was delayed until then; nil if
-- there is none. The entry of an equal job that is still delayed is left.
local function recall(queue, raw, second)
  local found
  entries(queue, raw, function(lines)
    for i, line in ipairs(lines) do
      local own
      if second then
        -- When promotion puts a job off, because its queue is broken, the entry keeps the old second.
        own = line.due == second
          or line.due < second and not try('LPOS', DELAYED .. whole(line.due), raw, 'MAXLEN', LOOK)
      else
        own = is_queued(line, raw)
      end
      if own then
        found = table.remove(lines, i).who
        return
      end
    end
  end)
  return found
end

-- Fragment: keeps the identity of a job that is put off or given back.

-- Keeps who a job is that is due at this second, until it is claimed again. False if a right to that is missing.
local function remember(queue, raw, identity, due)
  return entries(queue, raw, function(lines, emptied)
    lines[#lines + 1] = { who = identity, due = math.max(due, emptied + 1) }
  end)
end

-- Has `place` put a job where it waits, and keeps who it is. Without a right to keep it the job stays where it is, because
-- it would run under another id. So the identity is written first, and taken out again if the job cannot be put there.
local function put_known(queue, raw, identity, due, place)
  if not remember(queue, raw, identity, due) then
    return nil
  end
  local done = place()
  if not done then
    entries(queue, raw, function(lines)
      for i = #lines, 1, -1 do
        if lines[i].who == identity then
          table.remove(lines, i)
          return
        end
      end
    end)
  end
  return done
end

-- Fragment: keeps the identity of a job that is put off or given back.

-- Keeps who a job is that is due at this second, until it is claimed again.
local function remember(queue, raw, identity, due)
  entries(queue, raw, function(lines, emptied)
    lines[#lines + 1] = { who = identity, due = math.max(due, emptied + 1) }
  end)
end

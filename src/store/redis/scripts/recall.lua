-- Fragment: who a job is.
--
-- Kept under its queue and bytes until it is claimed again: one line for each equal
-- job, `<id> <attempt> <redelivered> <later> <expiry>`. Entries expire 30 days after the job was
-- due, so that the entry of a job that another program took does not stick to a later one.

-- Takes the oldest entry of a job; nil if there is none.
local function recall(queue, raw)
  local field = queue .. '\n' .. raw
  local old = try('HGET', IDENTITY, field)
  if not old then
    return nil
  end
  local found
  local rest = {}
  for line in string.gmatch(old, '[^\n]+') do
    local identity, expiry = string.match(line, '^(%S+ %d+ %d+ %d+) (%d+)$')
    if identity and tonumber(expiry) > seconds() then
      if found then
        rest[#rest + 1] = line
      else
        found = identity
      end
    end
  end
  if #rest == 0 then
    try('HDEL', IDENTITY, field)
  else
    try('HSET', IDENTITY, field, table.concat(rest, '\n'))
  end
  return found
end

-- lock_values: a read of what some locks hold and for how long, without what is long.
--
-- KEYS   the locks
-- ARGV   now (unused)
-- returns per lock its value, cut, and its time to live in milliseconds, or "" if there is no such lock any more or it is
--         no string, and 0
--
-- Why this order: none; nothing is written.

-- A value of a plugin is a number or a token. Any program may have written a longer one.
local SHOWN = 1024
local reply = {}
for i = 1, #KEYS do
  local value = redis.pcall('GET', KEYS[i])
  local there = type(value) == 'string'
  reply[2 * i - 1] = there and string.sub(value, 1, SHOWN) or ''
  reply[2 * i] = there and redis.pcall('PTTL', KEYS[i]) or -2
  local refusal = type(value) == 'table' and named('GET', KEYS[i], value.err) or ''
  if string.find(refusal, '^REFUSED') then
    error(refusal)
  elseif type(reply[2 * i]) == 'table' then
    reply[2 * i] = -1
  end
end
return reply

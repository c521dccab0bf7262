-- Fragment: who holds the leader lock of Ruby's resque-scheduler, or "", and when it lapses, in ms; -1 if never or if that
-- may not be asked. A lock that may not be read is no lock.

local function ruby_leader(lock)
  local holder = redis.pcall('GET', lock)
  if type(holder) ~= 'string' then
    return '', -1
  end
  local left = redis.pcall('PTTL', lock)
  if type(left) ~= 'number' or left < 0 then
    return string.sub(holder, 1, 255), -1
  end
  return string.sub(holder, 1, 255), now() + left
end

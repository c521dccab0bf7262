-- take_in: puts in what another store has set aside, once.
--
-- KEYS   as places.lua; windlass:moved, windlass:schedules; then per item by kind:
--        "Q" queue:<queue>, timestamps:<raw>, the lock if it takes one
--        "D" delayed:<second>, queue:<queue>, timestamps:<raw>
-- ARGV   now, source, number, number of items; then per item its kind and
--        "Q" queue, raw, identity or "", "1" if only once, the lock's ttl or ""
--        "D" second, queue, raw, identity or "", "1" if only once
--        "F" record     "P" task, entry     "C" schedule, last occurrence     "S" processed, failed
-- returns 1, or 0 if this batch was taken in before
--
-- Why this order: all is read and every key's type is checked before the first write, so that an error leaves nothing
-- half taken in. The number is written first: a batch whose number is known counts as taken in. The number is restored
-- if a right is missing that the batch needs.

needs_room = true
now()
local MOVED, SCHEDULES = key(), key()
local source, number, count = arg(), tonumber(arg()), tonumber(arg())
local items = {}
for i = 1, count do
  local item = { kind = arg() }
  if item.kind == 'Q' then
    item.list, item.stamps = key(), key()
    item.queue, item.raw, item.identity, item.once, item.ttl = arg(), arg(), arg(), arg() == '1', arg()
    item.lock = item.ttl ~= '' and key()
  elseif item.kind == 'D' then
    item.list, item.queued, item.stamps = key(), key(), key()
    item.second, item.queue, item.raw, item.identity, item.once = arg(), arg(), arg(), arg(), arg() == '1'
  elseif item.kind == 'F' then
    item.raw = arg()
  else
    item.name, item.raw = arg(), arg()
  end
  items[i] = item
end
local before = must('HGET', MOVED, source) or '0'
if (tonumber(before) or 0) >= number then
  return 0
end
must('LLEN', FAILED)
must('ZCARD', SCHEDULE)
must('SCARD', QUEUES)
must('HLEN', PERIODIC)
must('HLEN', SCHEDULES)
must('HLEN', IDENTITY)
for _, item in ipairs(items) do
  if item.list then
    must('LLEN', item.list)
  end
  if item.queued then
    must('LLEN', item.queued)
  end
  if item.stamps then
    must('SCARD', item.stamps)
  end
end
must('HSET', MOVED, source, whole(number))
local allowed, message = pcall(function()
  for _, command in ipairs({ 'RPUSH', 'SADD', 'INCRBY' }) do
    may(command, MOVED, '0')
  end
  may('ZADD', MOVED, '0', '')
  may('HSETNX', MOVED, source, '')
end)
if not allowed then
  must('HSET', MOVED, source, before)
  error(message)
end

local function stands(list, item)
  return item.once and (try('EXISTS', item.stamps) == 1 or try('LPOS', list, item.raw))
end

for _, item in ipairs(items) do
  if item.kind == 'Q' then
    if not stands(item.list, item) then
      try('SADD', QUEUES, item.queue)
      try('RPUSH', item.list, item.raw)
      if item.identity ~= '' then
        remember(item.queue, item.raw, item.identity, seconds())
      end
      if item.lock then
        local value = redis.pcall('GET', item.lock)
        if not value or (type(value) == 'string' and is_free(item.lock)) then
          take(item.lock, tonumber(item.ttl))
        end
      end
    end
  elseif item.kind == 'D' then
    if not stands(item.queued, item) then
      delay(item.second, item.raw, item.stamps)
      if item.identity ~= '' then
        remember(item.queue, item.raw, item.identity, tonumber(item.second))
      end
    end
  elseif item.kind == 'F' then
    try('RPUSH', FAILED, item.raw)
  elseif item.kind == 'P' then
    if try('HSETNX', PERIODIC, item.name, item.raw) == 0 and string.match(item.raw, '^%S+ %S+ 1 ') then
      local standing = try('HGET', PERIODIC, item.name)
      local due, every, queue = string.match(standing or '', '^(%S+) (%S+) %d (.*)$')
      if due then
        try('HSET', PERIODIC, item.name, due .. ' ' .. every .. ' 1 ' .. queue)
      end
    end
  elseif item.kind == 'C' then
    try('HSETNX', SCHEDULES, item.name, item.raw)
  else
    try('INCRBY', PROCESSED_STAT, item.name)
    try('INCRBY', FAILED_STAT, item.raw)
  end
end
return 1

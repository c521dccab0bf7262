-- Fragment: puts items of a batch to their places.
--
-- KEYS   per item by kind:
--        "Q" queue:<queue>, timestamps:<raw>, the lock if it takes one
--        "D" delayed:<second>, queue:<queue>, timestamps:<raw>
-- ARGV   per item its kind and
--        "Q" queue, raw, identity or "", "1" if only once, the lock's ttl or ""
--        "D" second, queue, raw, identity or "", "1" if only once
--        "F" record     "P" task, entry, for which second it ran last if it is stopped and that is known, or ""
--        "C" schedule, last occurrence     "S" processed, failed

-- Reads the items, and checks the type of each key that they need.
local function read_items(count, SCHEDULES)
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
      item.ran = item.kind == 'P' and tonumber(arg()) or nil
    end
    items[i] = item
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
  return items
end

-- Ends the script if this user lacks a right that items need. `hash` is a key of that type, `field` one of its fields.
local function may_put(push, hash, field)
  for _, command in ipairs({ push, 'RPUSH', 'SADD', 'INCRBY' }) do
    may(command, hash, '0')
  end
  may('ZADD', hash, '0', '')
  may('HSETNX', hash, field, '')
end

-- Puts a periodic task's entry. One that stands stays as it is, but becomes stopped if the other is; then of the two last seconds the
-- later one counts.
local function put_entry(item)
  local stops, ran = is_stopped(item.raw), item.ran
  if try('HSETNX', PERIODIC, item.name, item.raw) == 0 then
    local due, every, stopped, queue, last = read_entry(try('HGET', PERIODIC, item.name))
    if not due then
      try('HSET', PERIODIC, item.name, item.raw)
    elseif stops then
      try('HSET', PERIODIC, item.name, due .. ' ' .. every .. ' 1 ' .. queue)
      if stopped == '1' then
        last = ran_before_stop(item.name)
      end
      ran = ran and last and math.max(ran, last) or ran or last
    end
  end
  if stops and ran then
    keep_ran(item.name, ran)
  end
end

local function stands(list, item)
  return item.once and (try('EXISTS', item.stamps) == 1 or try('LPOS', list, item.raw))
end

local function put_queued(push, item, put)
  if stands(item.list, item) then
    return
  end
  try('SADD', QUEUES, item.queue)
  if try(push, item.list, item.raw) then
    put[item.queue] = (put[item.queue] or 0) + 1
  end
  if item.identity ~= '' then
    remember(item.queue, item.raw, item.identity, seconds())
  end
  if item.lock then
    take_if_free(item.lock, tonumber(item.ttl))
  end
end

-- Puts the items to their places, jobs and failure records with `push`: RPUSH, or LPUSH for the heads of their lists.
-- Returns how many jobs went to each queue.
local function put_items(items, push, SCHEDULES)
  local put = {}
  for i = 1, #items do
    local item = items[push == 'LPUSH' and #items + 1 - i or i]
    if item.kind == 'Q' then
      put_queued(push, item, put)
    elseif item.kind == 'F' then
      try(push, FAILED, item.raw)
    end
  end
  for _, item in ipairs(items) do
    if item.kind == 'D' then
      if not stands(item.queued, item) then
        delay(item.second, item.raw, item.stamps)
        if item.identity ~= '' then
          remember(item.queue, item.raw, item.identity, tonumber(item.second))
        end
      end
    elseif item.kind == 'P' then
      put_entry(item)
    elseif item.kind == 'C' then
      try('HSETNX', SCHEDULES, item.name, item.raw)
    elseif item.kind == 'S' then
      try('INCRBY', PROCESSED_STAT, item.name)
      try('INCRBY', FAILED_STAT, item.raw)
    end
  end
  return put
end

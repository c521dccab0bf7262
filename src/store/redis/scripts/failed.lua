-- Fragment: takes records off the failed list, many in one pass.
--
-- Each record is marked where it stands, and all marks are removed at the end by one LREM. So a step takes one pass through
-- the list instead of one for each record, and positions stay as they are until its end. The mark is never seen, because a
-- script is one step. Without the right to LSET each record is removed by itself.

local NOWHERE = '9007199254740991'
local mark = arg()
local marked, last, gone, length, marks = 0, 0, 0, 0, nil

-- Ends the script if this user may not call what it takes to remove records: a record that is marked and not removed is lost.
local function may_take()
  length = must('LLEN', FAILED)
  may('LPOS', QUEUES, '')
  may('LRANGE', QUEUES, 0, 0)
  may('LREM', QUEUES, 0, '')
  -- At a place that no list has, in case that a list stands there.
  local reply = redis.pcall('LSET', QUEUES, NOWHERE, '')
  marks = not (type(reply) == 'table' and reply.err and string.find(named('LSET', QUEUES, reply.err), '^REFUSED'))
end

-- Where a record stands that was seen at a position, or false. Others may have removed records before it since.
local function find(seen, record)
  local at = seen and seen - gone
  local there = at and at >= 0 and must('LRANGE', FAILED, whole(at), whole(at))
  if there and there[1] == record then
    return at
  end
  at = must('LPOS', FAILED, record)
  if at and seen then
    gone = seen - at
  end
  return at
end

-- Takes the record off that was found there. Nil if that failed.
local function take_off(at, record)
  if not marks then
    return try('LREM', FAILED, 1, record)
  end
  local done = try('LSET', FAILED, whole(at), mark)
  if done then
    marked, last = marked + 1, at
  end
  return done
end

-- Removes what is marked, from the end of the list that is nearer.
local function sweep()
  if marked > 0 then
    must('LREM', FAILED, last * 2 > length and -marked or marked, mark)
  end
end

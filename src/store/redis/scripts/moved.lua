-- Fragment: the last batch of a source that was taken in or declined.
--
-- MOVED is a hash. Field <source>: the number of that batch. Field <source>:batch: `<number> <token>`, and a third word
-- if it was declined. A version that made no tokens writes only the first field; so the second counts only if it has the
-- same number.

-- What a batch may be to the store, and what the scripts answer.
local BEFORE, TAKEN, CONFLICT, DECLINED = 0, 1, 2, 3

-- What is known of this batch, nil if it is new; and the number of the last one.
local function known_as(MOVED, source, number, token)
  local last = tonumber(must('HGET', MOVED, source) or '') or 0
  if last < number then
    return nil, last
  end
  local of, who, declined = string.match(must('HGET', MOVED, source .. ':batch') or '', '^(%d+) (%S*) ?(%S*)$')
  if tonumber(of) ~= last then
    who, declined = '', ''
  end
  if last ~= number or who ~= token then
    return CONFLICT, last
  end
  return declined ~= '' and DECLINED or BEFORE, last
end

local function note_batch(MOVED, source, number, token, declined)
  local batch = whole(number) .. ' ' .. token .. (declined and ' declined' or '')
  must('HSET', MOVED, source, whole(number), source .. ':batch', batch)
end

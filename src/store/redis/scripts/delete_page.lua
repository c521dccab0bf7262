-- delete_page: removes jobs of many different bytes from one page of a queue.
--
-- KEYS   as places.lua; as departed.lua; queue:<queue>; for each entry Retry's counter and last error if they follow, then
--        its locks
-- ARGV   now, queue, how many jobs of the tail are passed over, how many are looked at at most, bytes that no job has,
--        "1" to count from the tail, number of entries, for each: raw, how many nearest the tail stay, how many go at
--        most or "" for all, "1" if Retry's keys follow, number of locks
-- returns {how many were looked at, per entry: how many of them stayed, how many went}
--
-- Why from the tail: jobs are claimed at the head and pushed at the tail. Positions counted from the tail are not
-- changed by a claim, and a push moves jobs only to positions that are still to be read.
--
-- Why LSET and LREM: the whole page takes one pass through the list instead of one pass for each job. The mark is never
-- seen, because a script is one step, in the server and in what it writes to its file and its replicas. The rights to
-- both are checked first, and marked jobs are removed even if a later LSET fails.

now()
local LIST, queue = key(), arg()
local past, size, mark = tonumber(arg()), tonumber(arg()), arg()
local tail, count = arg() == '1', tonumber(arg())
local known = has_entries(queue)
-- At a place that no list has, in case that a list stands there.
may('LSET', QUEUES, '9007199254740991', '')
may('LREM', QUEUES, 0, '')
local meant, list = {}, {}
for i = 1, count do
  local one = { raw = arg(), stay = tonumber(arg()), most = arg(), stayed = 0, gone = 0 }
  one.left = one.most == '' and math.huge or tonumber(one.most)
  if arg() == '1' then
    one.counter, one.failure = key(), key()
  end
  one.locks = read_places()
  meant[one.raw], list[i] = one, one
end

local page = read_page(LIST, past, size, true)
local marked = 0
for i = 1, #page do
  local one = meant[page[i]]
  if one and one.stayed < one.stay then
    one.stayed = one.stayed + 1
  elseif one and one.gone < one.left then
    if not try('LSET', LIST, -(past + i), mark) then
      break
    end
    marked, one.gone = marked + 1, one.gone + 1
  end
end
if marked > 0 then
  must('LREM', LIST, -marked, mark)
  count_deleted(queue, LIST, marked)
elseif broken[1] then
  error(broken[1])
end
local reply = { #page }
for _, one in ipairs(list) do
  if known then
    forget_deleted(queue, LIST, one, one.gone, tail)
  end
  free_with(one, one.gone)
  reply[#reply + 1] = one.stayed
  reply[#reply + 1] = one.gone
end
return reply

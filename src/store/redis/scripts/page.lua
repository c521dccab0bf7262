-- Fragment: reads a part of a list, and no more of it than one step may hold.
--
-- A number of jobs is no bound, because a job may have any size, and the server tells the length of none before it reads it. So
-- the first is read by itself, and then few together, until they have enough bytes; after a long one each by itself. A step holds
-- no more beyond its bytes than those few. Each alone would cost the server three times as much.

local ENOUGH, FEW, SHORT = 1048576, 8, 4096

-- Up to `count` jobs behind the first `past`, or with `tail` before the last `past` and from there towards the head. No more
-- once they have `enough` bytes, and at most `few` together, if these are given.
local function read_page(list, past, count, tail, enough, few)
  local jobs, bytes, size = {}, 0, 1
  while #jobs < count and bytes < (enough or ENOUGH) do
    size = math.min(size, count - #jobs)
    local from, to = past + #jobs, past + #jobs + size - 1
    if tail then
      from, to = -to - 1, -from - 1
    end
    local part, longest = must('LRANGE', list, whole(from), whole(to)), 0
    for i = 1, #part do
      local raw = part[tail and #part + 1 - i or i]
      jobs[#jobs + 1] = raw
      bytes = bytes + #raw
      longest = math.max(longest, #raw)
    end
    if #part < size then
      break
    end
    size = longest <= SHORT and (few or FEW) or 1
  end
  return jobs
end

-- Fragment: reads a part of a list, and no more of it than one step may hold.
--
-- A number of jobs is no bound, because a job may have any size. The list is read in parts, each twice as long as the one
-- before, until they have enough bytes. The first is one job, because several may have hundreds of megabytes each.

local FIRST, PART, ENOUGH = 1, 50, 1048576

-- Up to `count` jobs behind the first `past`, or with `tail` before the last `past` and from there towards the head.
local function read_page(list, past, count, tail)
  local jobs, bytes, size = {}, 0, FIRST
  while #jobs < count and bytes < ENOUGH do
    size = math.min(size, count - #jobs)
    local from, to = past + #jobs, past + #jobs + size - 1
    if tail then
      from, to = -to - 1, -from - 1
    end
    local part = must('LRANGE', list, whole(from), whole(to))
    for i = 1, #part do
      local raw = part[tail and #part + 1 - i or i]
      jobs[#jobs + 1] = raw
      bytes = bytes + #raw
    end
    if #part < size then
      break
    end
    size = math.min(2 * size, PART)
  end
  return jobs
end

-- periodic: a read of the periodic entries and of which JobLocks are held, at one moment.
--
-- KEYS   windlass:periodic; the locks
-- ARGV   now (unused), number of locks; how many entries are read at most, the longest entry in bytes; number of tasks whose
--        entries are read in any case, their names
-- returns {{task, entry, ...}, {1 if held, ...}, "+" if entries were left or ""}; an entry that is longer is empty, and a name that
--         is longer is cut. Of very many entries one may come twice.
--
-- Why this order: none; nothing is written. Anybody may write any number of entries. Those of the tasks that are asked for come
-- first, so that no other keeps a task from its ticks.

local PERIODIC = key()
local held = {}
for i = 1, tonumber(arg()) do
  held[i] = must('EXISTS', key())
end
local most, longest = tonumber(arg()), tonumber(arg())
local FEW, PAGE = 512, 100
local found, is_left = {}, false
local function add(task, entry)
  local fits = #task <= longest and #entry <= longest
  found[#found + 1] = string.sub(task, 1, longest)
  found[#found + 1] = fits and entry or ''
end
-- Where there are few, the first page has all.
local first = must('HSCAN', PERIODIC, '0', 'COUNT', FEW)
if first[1] == '0' then
  for i = 1, #first[2], 2 do
    add(first[2][i], first[2][i + 1])
  end
else
  local wanted = tonumber(arg())
  for from = 1, wanted, PAGE do
    local names = {}
    for i = from, math.min(from + PAGE - 1, wanted) do
      names[#names + 1] = arg()
    end
    for i, entry in ipairs(must('HMGET', PERIODIC, unpack(names))) do
      if entry then
        add(names[i], entry)
      end
    end
  end
  local cursor = '0'
  repeat
    local page = must('HSCAN', PERIODIC, cursor, 'COUNT', PAGE)
    cursor = page[1]
    for i = 1, #page[2], 2 do
      add(page[2][i], page[2][i + 1])
    end
  until cursor == '0' or #found >= 2 * most
  is_left = cursor ~= '0'
end
return { found, held, is_left and '+' or '' }

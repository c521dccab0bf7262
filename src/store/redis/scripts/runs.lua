-- runs: a read of the last runs of some lists, of as many of them as one step may hold.
--
-- KEYS   the lists
-- ARGV   now (unused), number of lists, how many runs of each, how many of the first list were read before, the longest record
--        in bytes
-- returns per list that was read {"+" if more of it is to be read, what stands in the way if it is no list, the records}, the
--         newest first; a record that is too long is empty
--
-- Why this order: none; nothing is written.

local SOME = 262144
local count, last, past, longest = tonumber(arg()), tonumber(arg()), tonumber(arg()), tonumber(arg())
local reply, bytes = {}, 0
for i = 1, count do
  if bytes >= SOME then
    break
  end
  local list = key()
  local length = redis.pcall('LLEN', list)
  if type(length) == 'table' then
    reply[i] = { '', named('LLEN', list, length.err) }
  else
    local most = math.min(last, length) - past
    local records = most > 0 and read_page(list, past, most, true) or {}
    reply[i] = { #records > 0 and #records < most and '+' or '', '' }
    for j, record in ipairs(records) do
      bytes = bytes + #record
      reply[i][j + 2] = #record <= longest and record or ''
    end
    if reply[i][1] == '+' then
      break
    end
  end
  past = 0
end
return reply

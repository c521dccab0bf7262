-- Fragment: what a reply tells of members of a list, which may have any length.
--
-- A reply that is too long for the path or for the server (client-output-buffer-limit) never arrives, and anyone who asks again
-- gets it again. So no reply has more than ROOM bytes, and of a long member it has only what it is known by (members.rs).

local ROOM, LONG, BEGINNING, ENDING = 262144, 32768, 1024, 256

-- As many members as the reply has room for, the first in any case: each as it is, or of a long one {how many bytes it has, its
-- digest (SHA-1), its beginning, its end}.
local function announce(members)
  local told, bytes = {}, 0
  for i, member in ipairs(members) do
    local is_long = #member >= LONG
    bytes = bytes + (is_long and BEGINNING + ENDING or #member)
    if i > 1 and bytes > ROOM then
      break
    end
    told[i] = is_long
        and { #member, redis.sha1hex(member), string.sub(member, 1, BEGINNING), string.sub(member, -ENDING) }
      or member
  end
  return told
end

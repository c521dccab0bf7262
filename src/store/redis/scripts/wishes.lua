-- Fragment: reads the wishes about runs of an instance (wishes.rs).
--
-- Anybody who writes to the store can leave wishes of any length and in any number. So few are read at a time, no more once
-- they have many bytes, and one that is longer than any of ours is answered without what it says: the caller passes it over
-- and tells so.

local SOME_WISHES, WISHES_BYTES, LONGEST_CLAIM, LONGEST_WISH = 50, 1048576, 128, 2048

-- Up to about `most` wishes: claim and text in turns.
local function read_wishes(place, most)
  local found, cursor, bytes = {}, '0', 0
  repeat
    local page = try('HSCAN', place, cursor, 'COUNT', SOME_WISHES)
    if not page then
      break
    end
    cursor = page[1]
    for i = 1, #page[2], 2 do
      local claim, wish = page[2][i], page[2][i + 1]
      bytes = bytes + #claim + #wish
      local fits = #claim <= LONGEST_CLAIM and #wish <= LONGEST_WISH
      found[#found + 1] = string.sub(claim, 1, LONGEST_CLAIM)
      found[#found + 1] = fits and wish or ''
    end
  until cursor == '0' or #found >= 2 * most or bytes > WISHES_BYTES
  return found
end

-- Fragment: the counter of a lease. Any program may have written another value in its place: that counts as 0, for
-- observers as for the instance that extends, so that a dead instance is still found and a living one goes on.

local MOST_BEATS = 999999999999999

local function counter_of(value)
  local number = value and string.match(value, '^%d+$') and tonumber(value)
  if number and number <= MOST_BEATS then
    return whole(number)
  end
  return value and '0'
end

-- Fragment: deletes keys of any size.

-- It takes a moment, because the server frees them beside its work. A user of an older list of rights has no
-- UNLINK. `call` is `must` or `try`.
local function unlink(call, ...)
  local reply = redis.pcall('UNLINK', ...)
  if type(reply) == 'table' and reply.err then
    return call('DEL', ...)
  end
  return reply
end

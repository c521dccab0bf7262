-- rights: which commands that claiming, promoting and recovering take are refused, whether for want of a right or
-- because the server does not have them.
--
-- KEYS   windlass:probe; then as places.lua, which are not touched: the whole call is refused if one of them is
-- ARGV   now (unused)
-- returns {command, what the server says, ...}
--
-- Every command is called, because only a call works on every version and needs no other right. The probe is a hash, so
-- that most calls fail with a key of another type. It is deleted last, whatever a call made of it, and expires if DEL
-- is refused.

local PROBE = key()

-- What follows the key. In this order: the first makes the hash, the last delete it.
local CALLS = {
  { 'HSET', 'f', 'v' }, { 'EXPIREAT', '99999999999' }, { 'PEXPIRE', '60000' },
  { 'TIME' },
  { 'EXISTS' }, { 'GET' }, { 'MGET' }, { 'INCR' }, { 'INCRBY', '0' }, { 'SET', '', 'NX' },
  { 'HGET', 'f' }, { 'HMGET', 'f' }, { 'HSETNX', 'f', '' }, { 'HINCRBY', 'n', '0' }, { 'HEXISTS', 'f' }, { 'HLEN' },
  { 'HGETALL' }, { 'HSCAN', '0' }, { 'HDEL', 'n' },
  { 'LPUSH', '' }, { 'RPUSH', '' }, { 'LPOP', '1' }, { 'LRANGE', '0', '0' }, { 'LREM', '0', '' }, { 'LLEN' },
  { 'LPOS', '' }, { 'LTRIM', '0', '-1' },
  { 'SADD', '' }, { 'SREM', '' }, { 'SISMEMBER', '' }, { 'SMISMEMBER', '' }, { 'SMEMBERS' }, { 'SSCAN', '0' }, { 'SCARD' },
  { 'ZADD', '0', '' }, { 'ZREM', '' }, { 'ZRANGE', '0', '0' }, { 'ZRANGEBYSCORE', '0', '0' }, { 'ZCARD' },
  { 'ZSCORE', '' },
  { 'MSET', '' },
  { 'DEL' },
}

local refused = {}
for _, call in ipairs(CALLS) do
  local command = call[1]
  local reply
  if command == 'TIME' then
    reply = redis.pcall(command)
  else
    reply = redis.pcall(command, PROBE, unpack(call, 2))
  end
  if type(reply) == 'table' and reply.err then
    local message = named(command, PROBE, reply.err)
    if string.find(message, '^REFUSED') then
      refused[#refused + 1] = command
      refused[#refused + 1] = reply.err
    end
  end
end
return refused

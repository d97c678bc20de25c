-- Become, or remain, the only one who writes; or learn who is.
--
-- KEYS  lease, meta, changes, gaps
-- ARGV  leader, milliseconds of the lease, format, prefix for what is quarantined, its seconds
--
-- Returns LEADING, epoch, number of the leader's last batch; or HELD, the holder, and the
-- milliseconds until its lease ends; or FORMAT and the format that was found.

for index, right in ipairs({'string', 'hash', 'stream', 'hash'}) do
  local kind = redis.call('TYPE', KEYS[index]).ok
  if kind ~= right and kind ~= 'none' then
    redis.call('RENAME', KEYS[index], ARGV[4] .. KEYS[index])
    redis.call('EXPIRE', ARGV[4] .. KEYS[index], ARGV[5])
  end
end
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return {'HELD', holder, redis.call('PTTL', KEYS[1])} end
local known = redis.call('HMGET', KEYS[2], 'format', 'leader', 'epoch', 'batch')
if known[1] and known[1] ~= ARGV[3] then return {'FORMAT', known[1]} end

redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if known[2] == ARGV[1] then return {'LEADING', tonumber(known[3]), tonumber(known[4]) or 0} end
local epoch = redis.call('HINCRBY', KEYS[2], 'epoch', 1)
redis.call('HSET', KEYS[2], 'format', ARGV[3], 'leader', ARGV[1], 'batch', 0)
return {'LEADING', epoch, 0}

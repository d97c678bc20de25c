-- Forget what is known of series beside their candles.
--
-- KEYS  notes, where to move them when they are no hash
-- ARGV  seconds for which they are kept there, then their fields

local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then return end
if kind ~= 'hash' then
  redis.call('RENAME', KEYS[1], KEYS[2])
  redis.call('EXPIRE', KEYS[2], ARGV[1])
  return
end
for index = 2, #ARGV do redis.call('HDEL', KEYS[1], ARGV[index]) end

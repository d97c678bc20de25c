-- Move keys out of the way, to be examined until they expire.
--
-- KEYS  what to move
-- ARGV  prefix, seconds

for _, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then
    redis.call('RENAME', key, ARGV[1] .. key)
    redis.call('EXPIRE', ARGV[1] .. key, ARGV[2])
  end
end

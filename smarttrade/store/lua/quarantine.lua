-- Move keys out of the way, to be examined until they expire.
--
-- KEYS  what to move
-- ARGV  prefix, seconds, and the format that the first of them must say for anything to be done

if ARGV[3] ~= '' then
  if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then return end
  if redis.call('HGET', KEYS[1], 'format') ~= ARGV[3] then return end
end
for _, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then
    redis.call('RENAME', key, ARGV[1] .. key)
    redis.call('EXPIRE', ARGV[1] .. key, ARGV[2])
  end
end

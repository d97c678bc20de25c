-- Give up the lease at once, if it is ours.
--
-- KEYS  lease
-- ARGV  what the lease says while we lead

if redis.call('TYPE', KEYS[1]).ok ~= 'string' then return end
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end

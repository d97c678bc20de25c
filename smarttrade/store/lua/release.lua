-- Give up the lease at once, if it is ours.
--
-- KEYS  lease
-- ARGV  leader

if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end

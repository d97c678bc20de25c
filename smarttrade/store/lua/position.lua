-- The end of the change stream, and what holds there.
--
-- KEYS  meta, changes
-- ARGV  format
--
-- Returns format, origin, seq, time and state, each or nothing, and the name of the last entry or
-- nothing. Only in the given format is the stream read.

local known = redis.call('HMGET', KEYS[1], 'format', 'origin', 'seq', 'time', 'state')
local last = {}
if not known[1] or known[1] == ARGV[1] then
  last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
end
known[6] = #last > 0 and last[1][1]
return known

-- Learn into how many shards a namespace is divided; the first process says it.
--
-- KEYS  shards, where to move what is no number
-- ARGV  this process's number, seconds for which that is kept there
--
-- Returns the number that holds from now on.

local kind = redis.call('TYPE', KEYS[1]).ok
local found = kind == 'string' and redis.call('GET', KEYS[1])
if found and #found <= 15 and string.match(found, '^[1-9]%d*$') then return tonumber(found) end
if kind ~= 'none' then
  redis.call('RENAME', KEYS[1], KEYS[2])
  redis.call('EXPIRE', KEYS[2], ARGV[2])
end
redis.call('SET', KEYS[1], ARGV[1])
return tonumber(ARGV[1])

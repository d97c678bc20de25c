-- Become or remain the leader; or learn who it is, or why this process must not lead.
--
-- KEYS  lease, meta, changes
-- ARGV  what the lease says while we lead, the leader's name, milliseconds of the lease, most
--       milliseconds that any lease may last, format, prefix for what is quarantined, its seconds,
--       then the origins that are our exchange's, its own name first
--
-- Returns LEADING, epoch, number of the leader's last batch, origin, exchange time of the last batch;
-- or HELD, the holder, and the milliseconds until its lease ends; or FORMAT and the format that was
-- found; or ORIGIN and the origin that was found. What is damaged is quarantined; of another format,
-- nothing is changed.

local lease, meta, changes = KEYS[1], KEYS[2], KEYS[3]
local prefix, ttl = ARGV[6], ARGV[7]

local function quarantine(key)
  redis.call('RENAME', key, prefix .. key)
  redis.call('EXPIRE', prefix .. key, ttl)
end

local function quarantine_unless(key, right)
  local kind = redis.call('TYPE', key).ok
  if kind ~= right and kind ~= 'none' then quarantine(key) end
end

local function is_number(text)
  return not text or (#text <= 15 and string.match(text, '^%d+$') ~= nil)
end

local function is_origin(text)
  return text and #text <= 260 and string.match(text, '^[a-z0-9_.:%[%]-]+$') ~= nil
end

local function is_accepted(origin)
  for index = 8, #ARGV do
    if ARGV[index] == origin then return true end
  end
  return false
end

quarantine_unless(meta, 'hash')
quarantine_unless(lease, 'string')

local known = redis.call('HMGET', meta, 'format', 'leader', 'epoch', 'batch', 'seq', 'time', 'origin')
local format, origin = known[1], known[7]
local is_of_another_version = format and format ~= ARGV[5] and string.match(format, '^%d%d?%d?$')
local is_ours = format == ARGV[5] and known[2] and known[3] and known[4] and is_origin(origin)
for index = 3, 6 do is_ours = is_ours and is_number(known[index]) end
if is_ours and not is_accepted(origin) then return {'ORIGIN', origin} end
local holder = redis.call('GET', lease)
if holder and holder ~= ARGV[1] then
  local held_for = #holder <= 500 and string.match(holder, '@([a-z0-9_.:%[%]-]+)$')
  if held_for and not is_accepted(held_for) then return {'ORIGIN', held_for} end
  local left = redis.call('PTTL', lease)
  if left < 0 or left > tonumber(ARGV[4]) then
    redis.call('PEXPIRE', lease, ARGV[4])
    left = tonumber(ARGV[4])
  end
  return {'HELD', string.sub(holder, 1, 500), left}
end
if is_of_another_version then return {'FORMAT', format} end
quarantine_unless(changes, 'stream')
if not is_ours then
  if redis.call('EXISTS', meta) == 1 then quarantine(meta) end
  known, origin = {}, nil
end

origin = origin or ARGV[8]
redis.call('SET', lease, ARGV[1], 'PX', ARGV[3])
if known[2] == ARGV[2] then
  return {'LEADING', tonumber(known[3]) or 0, tonumber(known[4]) or 0, origin, tonumber(known[6]) or 0}
end
local epoch = (tonumber(known[3]) or 0) + 1
redis.call('HSET', meta, 'format', ARGV[5], 'origin', origin, 'leader', ARGV[2], 'batch', 0,
  'epoch', epoch)
return {'LEADING', epoch, 0, origin, tonumber(known[6]) or 0}

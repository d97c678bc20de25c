-- Write one batch: all of it, or nothing and why.
--
-- Only the leader of the current epoch writes, and its batches are numbered: one that comes late,
-- after a later one, is ignored. So a writer may repeat a batch when it does not know whether it
-- arrived, and one that was paused, or cut off, cannot write over another's candles.
--
-- KEYS  lease, meta, changes, gaps, then the list of each group's series
-- ARGV  leader, epoch, number of the batch, number of the last one known to be written,
--       milliseconds of the lease, most candles of a series, entries of the change stream to keep,
--       whether to add an entry in any case, the state (JSON or nothing),
--       then two for each group:
--         lines: field of its gaps, its name in the change stream, length that the list should
--         have or -1, whether to replace the whole list, a 0 or 1 for each candle: whether it
--         corrects the past, and gaps (JSON or nothing);
--         and the candles, a line each, in ascending order
--
-- Returns OK, the number of the last entry of the change stream, and the length of each list now,
-- or -1 where it was not what it should have been and was left alone;
-- or FENCED and the leader, or LATE; or LOST: what was written before is gone.

local CLOSED, EVENT_TIME, READ, VOLUME = 7, 8, 9, 6
local CERTAINLY_LATER = 5000

local function time_of(candle)
  return tonumber(string.match(candle, '^%[(%d+)') or 0)
end

-- The rule of market/candle.py, of which this is the last guard.
local function supersedes(candidate, held)
  local readable, a, b = pcall(function() return cjson.decode(candidate), cjson.decode(held) end)
  if not readable then return true end
  if b[CLOSED] or a[CLOSED] then return a[CLOSED] and not b[CLOSED] end
  if a[READ] then return a[VOLUME] > b[VOLUME] end
  if b[READ] and a[VOLUME] > b[VOLUME] then return true end
  if a[EVENT_TIME] <= b[EVENT_TIME] then return false end
  return not b[READ] or a[VOLUME] == b[VOLUME] or a[EVENT_TIME] > b[EVENT_TIME] + CERTAINLY_LATER
end

-- The first place from which on candles are as late as `time`.
local function place_of(key, length, time)
  local low, high = 0, length - 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    if time_of(redis.call('LINDEX', key, middle)) < time then low = middle + 1 else high = middle end
  end
  return low
end

-- Put one candle in its place; returns the length, and whether anything changed.
local function put(key, length, most, candle, corrects)
  local time = time_of(candle)
  local newest = length > 0 and redis.call('LINDEX', key, -1)
  if not newest or time > time_of(newest) then
    redis.call('RPUSH', key, candle)
    if length < most then return length + 1, true end
    redis.call('LTRIM', key, -most, -1)
    return most, true
  end
  local place, held = length - 1, newest
  if time < time_of(newest) then
    place = place_of(key, length, time)
    held = redis.call('LINDEX', key, place)
  end
  if time_of(held) == time then
    if candle == held or not (corrects or supersedes(candle, held)) then return length, false end
    redis.call('LSET', key, place, candle)
    return length, true
  end
  if length >= most and place == 0 then return length, false end
  redis.call('LINSERT', key, 'BEFORE', held, candle)
  if length < most then return length + 1, true end
  redis.call('LTRIM', key, -most, -1)
  return most, true
end

local lease, meta, changes, gaps_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local leader, epoch, batch, written = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local most, state = tonumber(ARGV[6]), ARGV[9]

for key, right in pairs({[meta] = 'hash', [changes] = 'stream', [gaps_key] = 'hash'}) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= right and kind ~= 'none' then return {'LOST'} end
end
local known = redis.call('HMGET', meta, 'leader', 'epoch', 'batch', 'seq')
if not known[1] then return {'LOST'} end
if known[1] ~= leader or known[2] ~= epoch then return {'FENCED', known[1]} end
local last = tonumber(known[3]) or 0
if last >= batch then return {'LATE'} end
if last < written then return {'LOST'} end

-- First what is refused when memory is full, so that nothing is half done then.
redis.call('HSET', meta, 'batch', batch)
redis.call('SET', lease, leader, 'PX', ARGV[5])

local lengths, entries, at = {}, {}, 10
for group = 1, #KEYS - 4 do
  local key = KEYS[group + 4]
  local field, name, expected, replace, flags, gaps =
    string.match(ARGV[at], '^(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n(.*)$')
  local is_whole, length = replace == '1', redis.pcall('LLEN', key)
  expected = tonumber(expected)
  local given = {}
  for candle in string.gmatch(ARGV[at + 1], '[^\n]+') do given[#given + 1] = candle end
  local candles, corrections = {}, {}
  if is_whole then
    redis.call('DEL', key)
    if #given > 0 then redis.call('RPUSH', key, unpack(given)) end
    length = #given
  elseif type(length) == 'table' or (expected >= 0 and length ~= expected) then
    length = -1
  else
    for index, candle in ipairs(given) do
      local changed
      local flag = string.sub(flags, index, index)
      length, changed = put(key, length, most, candle, flag == '1')
      if changed then
        candles[#candles + 1] = candle
        corrections[#corrections + 1] = flag
      end
    end
  end
  if gaps ~= '' and length >= 0 then redis.call('HSET', gaps_key, field, gaps) end
  if length >= 0 and (is_whole or gaps ~= '' or #candles > 0) then
    entries[#entries + 1] = '[' .. name .. (is_whole and ',true,[' or ',false,[')
      .. table.concat(candles, ',') .. '],"' .. table.concat(corrections) .. '",'
      .. (gaps == '' and 'null' or gaps) .. ']'
  end
  lengths[group] = length
  at = at + 2
end

local seq = tonumber(known[4]) or 0
if #entries > 0 or state ~= '' or ARGV[8] == '1' then
  seq = seq + 1
  redis.call('HSET', meta, 'seq', seq)
  local entry = {'seq', seq}
  if #entries > 0 then entry[3], entry[4] = 'data', '[' .. table.concat(entries, ',') .. ']' end
  if state ~= '' then
    redis.call('HSET', meta, 'state', state)
    entry[#entry + 1], entry[#entry + 2] = 'state', state
  end
  redis.call('XADD', changes, 'MAXLEN', '~', ARGV[7], '*', unpack(entry))
end
return {'OK', seq, unpack(lengths)}

-- Write one batch: all of it, or nothing and why.
--
-- Only the leader of the current epoch writes, and its batches are numbered: one that comes late,
-- after a later one, is ignored. So a writer may repeat a batch when it does not know whether it
-- arrived, and one that was paused, or cut off, cannot write over another's candles.
--
-- KEYS  lease, meta, changes, notes, then the list of each group's series
-- ARGV  leader, epoch, number of the batch, number of the last one known to be written,
--       what the lease says while we lead, milliseconds of the lease, most candles of a series,
--       entries of the change stream to keep, whether to add an entry in any case, format, origin,
--       exchange time, prefix for what is quarantined, its seconds, digest that the stored state
--       should have or nothing, the new state (JSON or nothing),
--       then two for each group:
--         lines: field of its notes, its name in the change stream, length that the list should
--         have or -1, whether to replace the whole list, a 0 or 1 for each candle: whether it
--         corrects the past, and notes (JSON or nothing);
--         and the candles, a line each, in ascending order
--
-- Returns OK, whether the stored state is another than it should be, and the lengths of the lists
-- now, or -1 where one was not what it should have been and was left alone;
-- or FENCED and the leader, or LATE; or LOST: what was written before is gone, or damaged.
--
-- Everything is read and checked before the first write, so that no batch is ever half written.

local CLOSED, EVENT_TIME, READ, VOLUME = 7, 8, 9, 6
local MAX_EVENT_DELAY = 5000
local MAX_TAIL = 1000

local function time_of(candle)
  return tonumber(string.match(candle, '^%[(%d+)') or 0)
end

-- The rule of market/candle.py, of which this is the last guard.
local function is_later(a, b)
  if b[CLOSED] or a[CLOSED] then return a[CLOSED] and not b[CLOSED] end
  if a[READ] then return a[VOLUME] > b[VOLUME] end
  if b[READ] and a[VOLUME] > b[VOLUME] then return true end
  if a[EVENT_TIME] <= b[EVENT_TIME] then return false end
  return not b[READ] or a[VOLUME] == b[VOLUME] or a[EVENT_TIME] > b[EVENT_TIME] + MAX_EVENT_DELAY
end

-- Damaged ones count as earlier than any.
local function supersedes(candidate, current)
  local is_readable, is_so = pcall(function()
    return is_later(cjson.decode(candidate), cjson.decode(current))
  end)
  return is_so or not is_readable
end

local function is_closed(candle)
  local is_readable, fields = pcall(cjson.decode, candle)
  return is_readable and type(fields) == 'table' and fields[CLOSED] == true
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
  local place, current = length - 1, newest
  if time < time_of(newest) then
    place = place_of(key, length, time)
    current = redis.call('LINDEX', key, place)
  end
  if time_of(current) == time then
    if candle == current or not (corrects or supersedes(candle, current)) then return length, false end
    redis.call('LSET', key, place, candle)
    return length, true
  end
  if length >= most and place == 0 then return length, false end
  redis.call('LINSERT', key, 'BEFORE', current, candle)
  if length < most then return length + 1, true end
  redis.call('LTRIM', key, -most, -1)
  return most, true
end

-- What a whole list must not lose: candles later than the last one given, up to `time`, and the
-- close of that one. A list that ends later was written by one that knew more.
local function tail_of(key, given, time)
  local last, tail = given[#given], {}
  for index = redis.call('LLEN', key) - 1, 0, -1 do
    local current = redis.call('LINDEX', key, index)
    local opens = time_of(current)
    if opens <= time_of(last) then
      if opens == time_of(last) and is_closed(current) and not is_closed(last) then given[#given] = current end
      break
    end
    if opens <= time then table.insert(tail, 1, current) end
    if #tail > MAX_TAIL then break end
  end
  return tail
end

local function replace(key, given, most, time)
  if #given > 0 then
    for _, candle in ipairs(tail_of(key, given, time)) do given[#given + 1] = candle end
  end
  redis.call('DEL', key)
  if #given == 0 then return 0 end
  redis.call('RPUSH', key, unpack(given))
  if #given > most then redis.call('LTRIM', key, -most, -1) end
  return math.min(#given, most)
end

local lease, meta, changes, notes_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local leader, epoch, batch, written = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local most, time, digest, state = tonumber(ARGV[7]), tonumber(ARGV[12]), ARGV[15], ARGV[16]

-- Read and check.

local kinds = {[lease] = 'string', [meta] = 'hash', [changes] = 'stream', [notes_key] = 'hash'}
for key, right in pairs(kinds) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= right and kind ~= 'none' then return {'LOST'} end
end
local known = redis.call('HMGET', meta, 'leader', 'epoch', 'batch', 'seq', 'format', 'origin')
if not known[1] then return {'LOST'} end
if known[1] ~= leader or known[2] ~= epoch then return {'FENCED', string.sub(known[1], 1, 500)} end
if known[5] ~= ARGV[10] or known[6] ~= ARGV[11] then return {'LOST'} end
for index = 3, 4 do
  if known[index] and not string.match(known[index], '^%d+$') then return {'LOST'} end
  if known[index] and #known[index] > 15 then return {'LOST'} end
end
local last = tonumber(known[3]) or 0
if last >= batch then return {'LATE'} end
if last < written then return {'LOST'} end
local is_state_lost = 0
if state == '' and digest ~= '' then
  local found = redis.call('HGET', meta, 'state')
  if not found or redis.sha1hex(found) ~= digest then is_state_lost = 1 end
end

local groups, at = {}, 17
for index = 1, #KEYS - 4 do
  local key = KEYS[index + 4]
  local field, name, expected, is_whole, flags, notes =
    string.match(ARGV[at], '^(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n(.*)$')
  local given = {}
  for candle in string.gmatch(ARGV[at + 1], '[^\n]+') do given[#given + 1] = candle end
  local kind = redis.call('TYPE', key).ok
  local length = kind == 'list' and redis.call('LLEN', key) or 0
  expected, is_whole = tonumber(expected), is_whole == '1'
  if not is_whole and expected >= 0 and length ~= expected or (kind ~= 'list' and kind ~= 'none') then
    length = -1
  end
  groups[index] = {key = key, field = field, name = name, is_whole = is_whole, flags = flags,
    notes = notes, given = given, length = length}
  at = at + 2
end

-- Write. First what is refused when memory is full, so that nothing is half done then.

redis.call('HSET', meta, 'batch', batch, 'time', ARGV[12])
redis.call('SET', lease, ARGV[5], 'PX', ARGV[6])

local lengths, entries = {}, {}
for index, group in ipairs(groups) do
  local candles, corrections = {}, {}
  if group.length < 0 then
    -- left alone
  elseif group.is_whole then
    group.length = replace(group.key, group.given, most, time)
  else
    for place, candle in ipairs(group.given) do
      local flag, changed = string.sub(group.flags, place, place), false
      group.length, changed = put(group.key, group.length, most, candle, flag == '1')
      if changed then
        candles[#candles + 1] = candle
        corrections[#corrections + 1] = flag
      end
    end
  end
  if group.notes ~= '' and group.length >= 0 then
    redis.call('HSET', notes_key, group.field, group.notes)
  end
  if group.length >= 0 and (group.is_whole or group.notes ~= '' or #candles > 0) then
    entries[#entries + 1] = '[' .. group.name .. (group.is_whole and ',true,[' or ',false,[')
      .. table.concat(candles, ',') .. '],"' .. table.concat(corrections) .. '",'
      .. (group.notes == '' and 'null' or group.notes) .. ']'
  end
  lengths[index] = group.length
end

local seq = tonumber(known[4]) or 0
if #entries > 0 or state ~= '' or ARGV[9] == '1' then
  seq = seq + 1
  redis.call('HSET', meta, 'seq', seq)
  local entry = {'seq', seq, 'format', ARGV[10], 'origin', ARGV[11], 'time', ARGV[12]}
  if #entries > 0 then
    entry[#entry + 1], entry[#entry + 2] = 'data', '[' .. table.concat(entries, ',') .. ']'
  end
  if state ~= '' then
    redis.call('HSET', meta, 'state', state)
    entry[#entry + 1], entry[#entry + 2] = 'state', state
  end
  local added = redis.pcall('XADD', changes, 'MAXLEN', '~', ARGV[8], '*', unpack(entry))
  if type(added) == 'table' then  -- its last name is the last that there can be
    redis.call('RENAME', changes, ARGV[13] .. changes)
    redis.call('EXPIRE', ARGV[13] .. changes, ARGV[14])
    redis.call('XADD', changes, '*', unpack(entry))
  end
end
return {'OK', is_state_lost, lengths}

-- Read windows. The entries of each list come as one text, which costs the reader an eighth.
--
-- KEYS  meta, notes, then the lists
-- ARGV  how many entries of each list at most, then the field of each list's notes
--
-- Returns the number of the last entry of the change stream and the exchange's time of the last
-- batch, each or nothing, and the type of the notes; then four for each list: its type, how many entries are read, these in lines, and its notes or
-- nothing.

local meta, notes, most = KEYS[1], KEYS[2], tonumber(ARGV[1])

local function type_of(key)
  return redis.call('TYPE', key).ok
end

local has_meta, has_notes = type_of(meta) == 'hash', type_of(notes) == 'hash'
local known = has_meta and redis.call('HMGET', meta, 'seq', 'time') or {false, false}
local reply = {known[1], known[2], type_of(notes)}
for index = 3, #KEYS do
  local kind = type_of(KEYS[index])
  local entries = kind == 'list' and redis.call('LRANGE', KEYS[index], -most, -1) or {}
  local at = #reply
  reply[at + 1], reply[at + 2] = kind, #entries
  reply[at + 3] = table.concat(entries, '\n')
  reply[at + 4] = has_notes and redis.call('HGET', notes, ARGV[index - 1])
end
return reply

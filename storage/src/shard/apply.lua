#!lua
-- R2: writes the merged counters of a micro-batch to the last slice and moves the cursor, if the shard is as the worker
-- expects: then it is as it was when the worker read what it merged into.
local at = redis.call('HMGET', KEYS[1], 'cursor', 'slices', 'definitions', 'format', 'instance', 'witnesses', 'truncated')
if not at[1] then return {'missing'} end
if at[4] ~= '5' then return {'format', at[4]} end
-- The witnesses of the slices' begins, and at last that of the cursor (R12). None is known where the field is missing.
local witnesses = at[6] or (string.gsub(at[2], '[^,]+', '') .. ',')
local witness = string.match(witnesses, '[^,]*$')
if at[1] ~= ARGV[1] or string.match(at[2], '[^,]+$') ~= ARGV[2] or at[3] ~= ARGV[3] or at[5] ~= ARGV[4]
  or witness ~= ARGV[5] or at[7] or tonumber(ARGV[6]) < tonumber(at[1]) then
  return {'differs', at[1], at[2], at[3], at[5], at[6] or '', at[7] or ''}
end
witnesses = string.sub(witnesses, 1, #witnesses - #witness) .. ARGV[7]

-- What could fail is tried before the first write.
local names = {}
for i = 5, #KEYS do
  redis.call('HSTRLEN', KEYS[i], '')
  -- R8: their name, unless they have it: what follows `braid:{…}:c:`, where the key of the shard has `braid:{…}:shard`.
  local name = string.sub(KEYS[i], #KEYS[1] - 2)
  if redis.call('HEXISTS', KEYS[2], name) == 0 then
    names[#names + 1] = name
    names[#names + 1] = ''
  elseif redis.call('EXISTS', KEYS[i]) == 0 then
    -- What has a name was written. A cluster may lose some keys of a shard and keep others, if a primary is lost while a slot moves. Then nothing
    -- of the shard is believed: it is opened again, with another instance.
    redis.call('UNLINK', KEYS[1])
    return {'failed', 'counters that were written are gone'}
  end
end

-- R10: somebody reads all counters in steps, and wants to know what changes meanwhile.
local swept = redis.call('GET', KEYS[3])
if swept then redis.call('LLEN', KEYS[4]) end

-- If a write fails all the same, Redis does not roll back, and counters that were written would be merged again by the
-- next attempt. So the shard has no cursor while they are written: without one it is missing, and when it is opened
-- again it gets another instance, which never reads them.
local function failed(reply)
  return type(reply) == 'table' and reply.err
end
local why = failed(redis.pcall('HDEL', KEYS[1], 'cursor'))
if why then return {'failed', why} end
-- Counters are named before they are written, so that they are found whatever becomes of the shard.
if #names > 0 then why = failed(redis.pcall('HSET', KEYS[2], unpack(names))) end
for i = 5, #KEYS do
  -- Each argument has as many fields as Lua has room for. One that cannot be unpacked ends the script: no cursor is left, either.
  why = why or failed(redis.pcall('HSET', KEYS[i], cmsgpack.unpack(ARGV[i + 4])))
end
if swept and not why then
  local note, bytes = {ARGV[1] .. ',' .. ARGV[6] .. ',' .. at[5]}, 0
  for i = 5, #KEYS do
    note[#note + 1] = string.sub(KEYS[i], #KEYS[1] - 2)
    note[#note + 1] = ARGV[i + 4]
    bytes = bytes + #ARGV[i + 4]
  end
  why = failed(redis.pcall('RPUSH', KEYS[4], unpack(note))) or failed(redis.pcall('PEXPIRE', KEYS[4], 30000))
  -- 64 MiB are enough. Who still reads begins again.
  if (tonumber(swept) or 0) + bytes > 67108864 then
    redis.pcall('UNLINK', KEYS[3], KEYS[4])
  elseif bytes > 0 then
    redis.pcall('INCRBY', KEYS[3], bytes)
  end
end
if ARGV[8] ~= '' then
  why = why or failed(redis.pcall('HSET', KEYS[1], 'cursor', ARGV[6], 'witnesses', witnesses, 'as_of', ARGV[8]))
else
  why = why or failed(redis.pcall('HSET', KEYS[1], 'cursor', ARGV[6], 'witnesses', witnesses))
end
if why then
  redis.pcall('UNLINK', KEYS[1])
  return {'failed', why}
end
return {'done', ARGV[6], at[2], at[3], at[5], witnesses, ''}

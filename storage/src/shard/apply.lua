#!lua
-- R2: writes the merged counters of a micro-batch to the last slice and moves the cursor, if the shard is as the worker
-- expects: then it is as it was when the worker read what it merged into.
local at = redis.call('HMGET', KEYS[1], 'cursor', 'slices', 'definitions', 'format')
if not at[1] then return {'missing'} end
if at[4] ~= '2' then return {'format', at[4]} end
if at[1] ~= ARGV[1] or string.match(at[2], '[^,]+$') ~= ARGV[2] or at[3] ~= ARGV[3]
  or tonumber(ARGV[4]) < tonumber(at[1]) then
  return {'differs', at[1], at[2], at[3]}
end

-- From the first write on nothing may fail: Redis does not roll back. What could fail is tried before.
local counters = {}
for i = 2, #KEYS do
  counters[i] = cmsgpack.unpack(ARGV[i + 4])
  redis.call('HSTRLEN', KEYS[i], 'chunks')
end

for i = 2, #KEYS do
  local count = #counters[i]
  -- Lua's unpack fails near 8000 values.
  for first = 1, count, 6000 do
    redis.pcall('HSET', KEYS[i], unpack(counters[i], first, math.min(first + 5999, count)))
  end
end
redis.pcall('HSET', KEYS[1], 'cursor', ARGV[4])
if ARGV[5] ~= '' then redis.pcall('HSET', KEYS[1], 'as_of', ARGV[5]) end
return {'done', ARGV[4], at[2], at[3]}

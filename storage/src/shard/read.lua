#!lua flags=no-writes,allow-stale
-- R10: one look at a shard: its positions and the counters that are asked for, four arguments each: the number of their key,
-- the group key, and the first and the last chunk.
local at = redis.call('HMGET', KEYS[1], 'cursor', 'slices', 'definitions', 'as_of', 'format', 'instance', 'witnesses',
  'truncated', 'begin')
if not at[1] then return {} end
if at[5] ~= '5' then return {'format', at[5]} end

-- Counters that have a name, and are not there, were lost: see `apply.lua`. The last key is that of the names.
local function are_lost(key)
  return redis.call('EXISTS', key) == 0 and redis.call('HEXISTS', KEYS[#KEYS], string.sub(key, #KEYS[1] - 2)) == 1
end

-- The chunks of a group key within a range, each with its values. The key's own field lists them, and holds the first.
local function chunks_of(key, group, first, last)
  local own = redis.call('HGET', key, group)
  if not own then return not are_lost(key) and {} end
  local own_chunk, others, values = string.match(own, '^(-?%d+),?([-+,%d]*);()')
  if not own_chunk then return {'?', own} end
  local found, chunks = {}, {}
  if first <= tonumber(own_chunk) and tonumber(own_chunk) <= last then found = {own_chunk, string.sub(own, values)} end
  for from, more in string.gmatch(others, '(-?%d+)%+?(%d*)') do
    local to = tonumber(from) + (tonumber(more) or 0)
    for chunk = math.max(tonumber(from), first), math.min(to, last) do
      chunks[#chunks + 1] = string.format('%.0f', chunk)
    end
  end
  -- Some at a time: Lua's unpack fails near 8000 values, and each field repeats the group key, which may be long.
  for start = 1, #chunks, 4000 do
    local fields = {}
    for n = start, math.min(start + 3999, #chunks) do fields[#fields + 1] = chunks[n] .. ':' .. group end
    for n, value in ipairs(redis.call('HMGET', key, unpack(fields))) do
      if value then
        found[#found + 1] = chunks[start + n - 1]
        found[#found + 1] = value
      end
    end
  end
  return found
end

local answer = {at[1], at[2], at[3], at[6], at[4] or '', at[7] or '', at[8] or '', at[9] or ''}
for n = 1, #ARGV, 4 do
  local key = KEYS[tonumber(ARGV[n])]
  local found = chunks_of(key, ARGV[n + 1], tonumber(ARGV[n + 2]), tonumber(ARGV[n + 3]))
  -- As if there were no shard: the answer is incomplete.
  if not found then return {} end
  answer[#answer + 1] = found
end
return answer

#!lua flags=no-writes,allow-stale
-- R10: one look at a shard: its positions and, of the slices asked for, the counters of one group key.
local at = redis.call('HMGET', KEYS[1], 'cursor', 'slices', 'definitions', 'as_of', 'format', 'instance', 'witnesses',
  'truncated')
if not at[1] then return {} end
if at[5] ~= '4' then return {'format', at[5]} end
local answer = {at[1], at[2], at[3], at[6], at[4] or '', at[7] or '', at[8] or ''}
for i = 2, #KEYS do
  local chunks, found = {}, {}
  for chunk in string.gmatch(redis.call('HGET', KEYS[i], 'chunks') or '', '[^,]+') do chunks[#chunks + 1] = chunk end
  -- Some at a time: Lua's unpack fails near 8000 values, and each field repeats the group key, which may be long.
  for first = 1, #chunks, 4000 do
    local fields = {}
    for n = first, math.min(first + 3999, #chunks) do fields[#fields + 1] = chunks[n] .. ':' .. ARGV[1] end
    for n, value in ipairs(redis.call('HMGET', KEYS[i], unpack(fields))) do
      if value then
        found[#found + 1] = chunks[first + n - 1]
        found[#found + 1] = value
      end
    end
  end
  answer[6 + i] = found
end
return answer

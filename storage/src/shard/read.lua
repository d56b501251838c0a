#!lua flags=no-writes,allow-stale
-- R10: one look at a shard: its positions and, of the slices asked for, the counters of one group key.
local at = redis.call('HMGET', KEYS[1], 'cursor', 'slices', 'definitions', 'as_of', 'format', 'instance', 'witnesses',
  'truncated')
if not at[1] then return {} end
if at[5] ~= '3' then return {'format', at[5]} end
local answer = {at[1], at[2], at[3], at[6], at[4] or '', at[7] or '', at[8] or ''}
for i = 2, #KEYS do
  local chunks, fields, found = {}, {}, {}
  for chunk in string.gmatch(redis.call('HGET', KEYS[i], 'chunks') or '', '[^,]+') do
    chunks[#chunks + 1] = chunk
    fields[#fields + 1] = chunk .. ':' .. ARGV[1]
  end
  -- Lua's unpack fails near 8000 values.
  for first = 1, #fields, 6000 do
    local values = redis.call('HMGET', KEYS[i], unpack(fields, first, math.min(first + 5999, #fields)))
    for n, value in ipairs(values) do
      if value then
        found[#found + 1] = chunks[first + n - 1]
        found[#found + 1] = value
      end
    end
  end
  answer[6 + i] = found
end
return answer

#!lua flags=allow-oom
-- R3: opens a new slice at the cursor, unless one begins there or there are too many. A full Redis allows it: it is how
-- slices come to be dropped.
local at = redis.call('HMGET', KEYS[1], 'cursor', 'slices', 'definitions', 'format', 'instance')
if not at[1] then return {'missing'} end
if at[4] ~= '3' then return {'format', at[4]} end
local slices = at[2]
local _, commas = string.gsub(slices, ',', ',')
if string.match(slices, '[^,]+$') ~= at[1] and commas + 1 < tonumber(ARGV[1]) then
  slices = slices .. ',' .. at[1]
  redis.call('HSET', KEYS[1], 'slices', slices)
end
return {'done', at[1], slices, at[3], at[5]}

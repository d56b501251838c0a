#!lua flags=allow-oom
-- R3: opens a new slice at the cursor, unless one begins there or there are too many. A full Redis allows it: it is how
-- slices come to be dropped.
local at = redis.call('HMGET', KEYS[1], 'cursor', 'slices', 'definitions', 'format', 'instance', 'witnesses', 'truncated')
if not at[1] then return {'missing'} end
if at[4] ~= '5' then return {'format', at[4]} end
local slices = at[2]
-- The witnesses of the begins, and at last that of the cursor. None is known where the field is missing.
local witnesses = at[6] or (string.gsub(slices, '[^,]+', '') .. ',')
local _, commas = string.gsub(slices, ',', ',')
if string.match(slices, '[^,]+$') ~= at[1] and commas + 1 < tonumber(ARGV[1]) then
  slices = slices .. ',' .. at[1]
  witnesses = witnesses .. ',' .. string.match(witnesses, '[^,]*$')
  redis.call('HSET', KEYS[1], 'slices', slices, 'witnesses', witnesses)
end
return {'done', at[1], slices, at[3], at[5], witnesses, at[7] or ''}

#!lua flags=allow-oom
-- R8: removes, from the front, the begins of all slices that end at or below the cut.
local at = redis.call('HMGET', KEYS[1], 'cursor', 'slices', 'definitions', 'format', 'instance', 'witnesses', 'truncated')
if not at[1] then return {'missing'} end
if at[4] ~= '5' then return {'format', at[4]} end
local begins, below = {}, 0
for begin in string.gmatch(at[2], '[^,]+') do begins[#begins + 1] = begin end
while below + 2 <= #begins and tonumber(begins[below + 2]) <= tonumber(ARGV[1]) do below = below + 1 end
local slices = table.concat(begins, ',', below + 1)
local witnesses = at[6] or (string.gsub(at[2], '[^,]+', '') .. ',')
for _ = 1, below do witnesses = string.match(witnesses, '^[^,]*,(.*)$') end
if below > 0 then redis.call('HSET', KEYS[1], 'slices', slices, 'witnesses', witnesses) end
return {'done', at[1], slices, at[3], at[5], witnesses, at[7] or ''}

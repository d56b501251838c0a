#!lua
-- R4: replaces the definitions; one that was counted goes on, a new one counts from the cursor on.
local at = redis.call('HMGET', KEYS[1], 'cursor', 'slices', 'definitions', 'format', 'instance', 'witnesses', 'truncated')
if not at[1] then return {'missing'} end
if at[4] ~= '5' then return {'format', at[4]} end
local since = {}
for hash, offset in string.gmatch(at[3], '([^,=]+)=([^,]+)') do since[hash] = offset end
local definitions = {}
for hash in string.gmatch(ARGV[1], '[^,]+') do
  definitions[#definitions + 1] = hash .. '=' .. (since[hash] or at[1])
end
definitions = table.concat(definitions, ',')
redis.call('HSET', KEYS[1], 'definitions', definitions)
return {'done', at[1], at[2], definitions, at[5], at[6] or '', at[7] or ''}

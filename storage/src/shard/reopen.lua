#!lua
-- R5: the log no longer holds the cursor: every slice goes, and one begins at the offset where the log starts now. Its
-- counters are empty: their keys hold the new instance. The shard still began where it did: what is between is missing (K5).
local at = redis.call('HMGET', KEYS[1], 'cursor', 'slices', 'definitions', 'format', 'instance', 'witnesses', 'truncated')
if not at[1] then return {'missing'} end
if at[4] ~= '5' then return {'format', at[4]} end
if at[1] ~= ARGV[1] or tonumber(ARGV[2]) <= tonumber(at[1]) or at[7] then
  return {'differs', at[1], at[2], at[3], at[5], at[6] or '', at[7] or ''}
end
local definitions = {}
for hash in string.gmatch(ARGV[3], '[^,]+') do definitions[#definitions + 1] = hash .. '=' .. ARGV[2] end
definitions = table.concat(definitions, ',')
-- If the second write fails, the first one has done no harm.
redis.call('HDEL', KEYS[1], 'as_of')
redis.call('HSET', KEYS[1], 'cursor', ARGV[2], 'slices', ARGV[2], 'definitions', definitions, 'instance', ARGV[4],
  'witnesses', ',')
return {'done', ARGV[2], ARGV[2], definitions, ARGV[4], ',', ''}

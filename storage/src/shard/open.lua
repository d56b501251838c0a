#!lua
-- Opens a shard at an offset, counted by the named definitions from there on; an existing one is left as it is. Its
-- counters are empty: their keys hold its instance. Where it begins stays noted, whatever happens to its slices (K5).
local at = redis.call('HMGET', KEYS[1], 'cursor', 'slices', 'definitions', 'format', 'instance', 'witnesses', 'truncated')
if at[1] then
  if at[4] ~= '5' then return {'format', at[4]} end
  return {'differs', at[1], at[2], at[3], at[5], at[6] or '', at[7] or ''}
end
local definitions = {}
for hash in string.gmatch(ARGV[2], '[^,]+') do definitions[#definitions + 1] = hash .. '=' .. ARGV[1] end
definitions = table.concat(definitions, ',')
-- What an apply left behind that could not write.
redis.call('UNLINK', KEYS[1])
redis.call('HSET', KEYS[1], 'format', '5', 'cursor', ARGV[1], 'slices', ARGV[1], 'begin', ARGV[1], 'definitions', definitions,
  'instance', ARGV[3], 'witnesses', ARGV[4] .. ',' .. ARGV[4])
return {'done', ARGV[1], ARGV[1], definitions, ARGV[3], ARGV[4] .. ',' .. ARGV[4], ''}

#!lua
-- Opens a shard at an offset, counted by the named definitions from there on; an existing one is left as it is.
local at = redis.call('HMGET', KEYS[1], 'cursor', 'slices', 'definitions', 'format')
if at[1] then
  if at[4] ~= '2' then return {'format', at[4]} end
  return {'differs', at[1], at[2], at[3]}
end
local definitions = {}
for hash in string.gmatch(ARGV[2], '[^,]+') do definitions[#definitions + 1] = hash .. '=' .. ARGV[1] end
definitions = table.concat(definitions, ',')
redis.call('HSET', KEYS[1], 'format', '2', 'cursor', ARGV[1], 'slices', ARGV[1], 'definitions', definitions)
return {'done', ARGV[1], ARGV[1], definitions}

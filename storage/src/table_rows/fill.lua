#!lua
-- B3: fills rows in, while they are filled as that instance, and gives them the next one. So each step needs the one before: where Redis has
-- lost that, for example because a replica took its place, nothing fits any more. Nobody reads rows before they have a cursor.
local at = redis.call('HMGET', KEYS[1], 'cursor', 'instance', 'basis', 'witness', 'filling', 'format')
if at[6] and at[6] ~= '1' then return {'format', at[6]} end
if at[1] or at[5] ~= ARGV[1] then
  return {'differs', at[1] or '', at[2] or '', at[3] or '', at[4] or '', at[5] or ''}
end
-- Each argument has as many fields as Lua has room for.
for i = 3, #ARGV do redis.call('HSET', KEYS[1], cmsgpack.unpack(ARGV[i])) end
redis.call('HSET', KEYS[1], 'filling', ARGV[2])
return {'done', '', '', '', '', ARGV[2]}

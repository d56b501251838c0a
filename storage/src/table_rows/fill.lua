#!lua
-- B3: fills rows in, while they are filled as that instance. Nobody reads them before they have a cursor.
local at = redis.call('HMGET', KEYS[1], 'cursor', 'instance', 'basis', 'witness', 'filling', 'format')
if at[6] and at[6] ~= '1' then return {'format', at[6]} end
if at[1] or at[5] ~= ARGV[1] then
  return {'differs', at[1] or '', at[2] or '', at[3] or '', at[4] or '', at[5] or ''}
end
-- Each argument has as many fields as Lua has room for.
for i = 2, #ARGV do redis.call('HSET', KEYS[1], cmsgpack.unpack(ARGV[i])) end
return {'done', '', '', '', '', at[5]}

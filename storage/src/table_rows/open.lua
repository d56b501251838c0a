#!lua
-- B3: ends a filling: from now on these are rows as of that cursor.
local at = redis.call('HMGET', KEYS[1], 'cursor', 'instance', 'basis', 'witness', 'filling', 'format')
if at[6] and at[6] ~= '1' then return {'format', at[6]} end
if at[1] or at[5] ~= ARGV[1] then
  return {'differs', at[1] or '', at[2] or '', at[3] or '', at[4] or '', at[5] or ''}
end
-- If the second write fails, the first one has done all that is read.
redis.call('HSET', KEYS[1], 'instance', ARGV[1], 'cursor', ARGV[2], 'basis', ARGV[3], 'witness', ARGV[4])
redis.call('HDEL', KEYS[1], 'filling')
return {'done', ARGV[2], ARGV[1], ARGV[3], ARGV[4], ''}

#!lua
-- B3: begins to fill the rows of a partition anew; what was there goes. Rows have to be those that the caller knows. A filling of
-- another worker ends here.
local at = redis.call('HMGET', KEYS[1], 'cursor', 'instance', 'basis', 'witness', 'filling', 'format')
if at[6] and at[6] ~= '1' then return {'format', at[6]} end
if at[1] and at[2] ~= ARGV[2] then return {'differs', at[1], at[2], at[3], at[4] or '', ''} end
redis.call('UNLINK', KEYS[1])
redis.call('HSET', KEYS[1], 'format', '1', 'filling', ARGV[1])
return {'done', '', '', '', '', ARGV[1]}

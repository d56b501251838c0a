#!lua flags=allow-oom
-- R12: the log holds another record at this offset than what the shard has counted. From now on nothing is applied to it and
-- nothing of it is answered. The first mark stays.
local at = redis.call('HMGET', KEYS[1], 'cursor', 'slices', 'definitions', 'format', 'instance', 'witnesses', 'truncated')
if not at[1] then return {'missing'} end
if at[4] ~= '5' then return {'format', at[4]} end
if at[5] ~= ARGV[1] then return {'differs', at[1], at[2], at[3], at[5], at[6] or '', at[7] or ''} end
if not at[7] then redis.call('HSET', KEYS[1], 'truncated', ARGV[2]) end
return {'done', at[1], at[2], at[3], at[5], at[6] or '', at[7] or ARGV[2]}

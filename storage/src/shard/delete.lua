#!lua flags=allow-oom
-- R8: deletes the shard of a closed log, unless it counted beyond the log's archived end.
local at = redis.call('HMGET', KEYS[1], 'cursor', 'slices', 'definitions', 'format', 'instance', 'witnesses', 'truncated')
if not at[1] then return {'missing'} end
if at[4] ~= '5' then return {'format', at[4]} end
if tonumber(at[1]) > tonumber(ARGV[1]) then return {'differs', at[1], at[2], at[3], at[5], at[6] or '', at[7] or ''} end
redis.call('UNLINK', KEYS[1])
return {'done', at[1], at[2], at[3], at[5], at[6] or '', at[7] or ''}

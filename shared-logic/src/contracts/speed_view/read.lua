#!lua flags=no-writes,allow-stale
-- R10: one look at a shard: its positions and the counters asked for.
local at = redis.call('HMGET', KEYS[1], 'cursor', 'slices', 'definitions', 'as_of', 'format')
if not at[1] then return {} end
if at[5] ~= '1' then return {'format', at[5]} end
local answer = {at[1], at[2], at[3], at[4] or ''}
for i = 2, #KEYS do answer[3 + i] = redis.call('HGETALL', KEYS[i]) end
return answer

#!lua flags=allow-oom
-- R8: unlinks counters of a slice that was dropped, or of another instance; refuses while the slice is listed.
local at = redis.call('HMGET', KEYS[1], 'cursor', 'slices', 'instance', 'format')
if at[1] and at[4] ~= '4' then return 0 end
local listed = at[1] and string.find(',' .. at[2] .. ',', ',' .. ARGV[2] .. ',', 1, true)
if listed and at[3] == ARGV[1] then return 0 end
local gone = 0
for i = 2, #KEYS do gone = gone + redis.call('UNLINK', KEYS[i]) end
return gone

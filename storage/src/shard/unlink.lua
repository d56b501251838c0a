#!lua flags=allow-oom
-- R8: unlinks counters of a slice that was dropped; refuses while the slice is listed.
local slices = redis.call('HGET', KEYS[1], 'slices')
if slices and string.find(',' .. slices .. ',', ',' .. ARGV[1] .. ',', 1, true) then return 0 end
local gone = 0
for i = 2, #KEYS do gone = gone + redis.call('UNLINK', KEYS[i]) end
return gone

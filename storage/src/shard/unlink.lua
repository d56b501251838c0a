#!lua flags=allow-oom
-- R8: unlinks counters of a slice that was dropped, or of another instance, and with them their names; refuses while the slice
-- is listed.
local at = redis.call('HMGET', KEYS[1], 'cursor', 'slices', 'instance', 'format')
if at[1] and at[4] ~= '4' then return 0 end
local listed = at[1] and string.find(',' .. at[2] .. ',', ',' .. ARGV[2] .. ',', 1, true)
if listed and at[3] == ARGV[1] then return 0 end
local gone = 0
for i = 3, #KEYS do
  gone = gone + redis.call('UNLINK', KEYS[i])
  -- Its name: what follows `braid:{…}:c:`, where the key of the shard has `braid:{…}:shard`.
  redis.call('HDEL', KEYS[2], string.sub(KEYS[i], #KEYS[1] - 2))
end
return gone

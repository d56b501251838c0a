#!lua
-- R2, B3: writes the last changes of a micro-batch and moves the cursor, if the rows are as the worker knows them.
local at = redis.call('HMGET', KEYS[1], 'cursor', 'instance', 'basis', 'witness', 'filling', 'format')
if at[6] and at[6] ~= '1' then return {'format', at[6]} end
if at[1] ~= ARGV[1] or at[2] ~= ARGV[2] or at[3] ~= ARGV[3] or (at[4] or '') ~= ARGV[4]
  or tonumber(ARGV[5]) < tonumber(at[1]) then
  return {'differs', at[1] or '', at[2] or '', at[3] or '', at[4] or '', at[5] or ''}
end

-- If a write fails, Redis does not roll back, and a row of behind the cursor would be read. So the rows have no cursor while they are
-- written, and go if that fails: then they are filled again.
local function failed(reply)
  return type(reply) == 'table' and reply.err
end
local why = failed(redis.pcall('HDEL', KEYS[1], 'cursor'))
if why then return {'failed', why} end
for i = 7, #ARGV do
  -- Each argument has as many fields as Lua has room for.
  why = why or failed(redis.pcall('HSET', KEYS[1], cmsgpack.unpack(ARGV[i])))
end
why = why or failed(redis.pcall('HSET', KEYS[1], 'cursor', ARGV[5], 'witness', ARGV[6]))
if why then
  redis.pcall('UNLINK', KEYS[1])
  return {'failed', why}
end
return {'done', ARGV[5], at[2], at[3], ARGV[6], ''}

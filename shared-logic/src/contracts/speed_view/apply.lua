#!lua
-- R2: adds a micro-batch's partials to the last slice and moves the cursor, if the shard is as the worker expects.
local at = redis.call('HMGET', KEYS[1], 'cursor', 'slices', 'definitions', 'format')
if not at[1] then return {'missing'} end
if at[4] ~= '1' then return {'format', at[4]} end
if at[1] ~= ARGV[1] or string.match(at[2], '[^,]+$') ~= ARGV[2] or at[3] ~= ARGV[3]
  or tonumber(ARGV[4]) < tonumber(at[1]) then
  return {'differs', at[1], at[2], at[3]}
end

-- Whether the decimal integer a is smaller than b. Lua's own numbers are exact only to 2^53.
local function smaller(a, b)
  local a_negative, b_negative = string.byte(a) == 45, string.byte(b) == 45
  if a_negative ~= b_negative then return a_negative end
  if a_negative then a, b = b, a end
  if #a ~= #b then return #a < #b end
  for i = 1, #a do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return false
end

local function finite(x) return x == x and x ~= math.huge and x ~= -math.huge end

local try = redis.pcall

-- From the first write on nothing may fail: Redis does not roll back, and a retry would count again.
local function add(operation, key, field, value)
  if value == 'overflow' then try('HSET', key, field, value) return end
  if operation == '+' then
    local reply = try('HINCRBY', key, field, value)
    if type(reply) == 'table' and reply.err then try('HSET', key, field, 'overflow') end
    return
  end
  local old = try('HGET', key, field)
  if old == 'overflow' then return end
  if old then
    if operation == 'f' then
      local sum = tonumber(old) + tonumber(value)
      value = finite(sum) and string.format('%.17g', sum) or 'overflow'
    elseif operation == 'l' then
      if not smaller(value, old) then return end
    elseif operation == 'g' then
      if not smaller(old, value) then return end
    elseif operation == '<' then
      if not (tonumber(value) < tonumber(old)) then return end
    else
      if not (tonumber(value) > tonumber(old)) then return end
    end
  end
  try('HSET', key, field, value)
end

if #KEYS > 1 then
  local items = cmsgpack.unpack(ARGV[6])
  local i, key = 1, 1
  while items[i] do
    local operations, rows = items[i], items[i + 1]
    local width = #operations
    local letters, fields = {}, {}
    for m = 1, width do letters[m] = string.sub(operations, m, m) end
    i = i + 2
    for _ = 1, rows do
      key = key + 1
      local counters = KEYS[key]
      local bucket = items[i]
      local names = fields[bucket]
      if not names then
        names = {}
        for m = 1, width do names[m] = bucket .. ':' .. (m - 1) end
        fields[bucket] = names
      end
      for m = 1, width do
        local value = items[i + m]
        if value then add(letters[m], counters, names[m], value) end
      end
      i = i + 1 + width
    end
  end
end

try('HSET', KEYS[1], 'cursor', ARGV[4])
if ARGV[5] ~= '' then try('HSET', KEYS[1], 'as_of', ARGV[5]) end
return {'done', ARGV[4], at[2], at[3]}

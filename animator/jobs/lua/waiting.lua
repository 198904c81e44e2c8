-- Finds queued jobs of which workers were told long ago.
-- Returns their ids.
local age    = ARGV[1] -- milliseconds since they were told, at least
local limit  = ARGV[2] -- most jobs of each queue
local queues = tail(3) -- names of all queues

-- Jobs that wait in no queue, such as those of an older version: they were told long ago.
local known = 0
for _, queue in ipairs(queues) do
  known = known + redis.call('ZCARD', PREFIX .. 'waiting:' .. queue)
end
if redis.call('ZCARD', PREFIX .. 'jobs:queued') ~= known then
  for _, id in ipairs(redis.call('ZRANGE', PREFIX .. 'jobs:queued', 0, -1)) do
    redis.call('ZADD', waiting(id), 'NX', 0, id)
  end
end

local found = {}
for _, queue in ipairs(queues) do
  -- Told in the future: the clock was set back since. It counts as told now.
  local ahead = PREFIX .. 'waiting:' .. queue
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', ahead, '(' .. (clock() + 1000), '+inf')) do
    redis.call('ZADD', ahead, clock(), id)
  end
  local ids = redis.call('ZRANGEBYSCORE', PREFIX .. 'waiting:' .. queue, '-inf', clock() - age,
    'LIMIT', 0, limit)
  for _, id in ipairs(ids) do found[#found + 1] = id end
end
return found

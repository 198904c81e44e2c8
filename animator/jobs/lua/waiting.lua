-- Finds queued jobs of which workers were told long ago.
-- Returns their ids.
local age    = ARGV[1] -- milliseconds since they were told, at least
local limit  = ARGV[2] -- most jobs of each queue
local queues = tail(3) -- names of all queues

local known, filled = 0, {}
for _, queue in ipairs(queues) do
  local count = redis.call('ZCARD', PREFIX .. 'waiting:' .. queue)
  if count > 0 then filled[#filled + 1] = queue end
  known = known + count
end
-- Jobs that wait in no queue, such as those of an older version: they were told long ago.
if redis.call('ZCARD', PREFIX .. 'jobs:queued') ~= known then
  for _, id in ipairs(redis.call('ZRANGE', PREFIX .. 'jobs:queued', 0, -1)) do
    redis.call('ZADD', waiting(id), 'NX', 0, id)
  end
  filled = queues
end

local found = {}
for _, queue in ipairs(filled) do
  -- Told in the future: the clock was set back since. It counts as told now.
  local ahead = PREFIX .. 'waiting:' .. queue
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', ahead, '(' .. (clock() + 1000), '+inf')) do
    redis.call('ZADD', ahead, clock(), id)
  end
  local ids = redis.call('ZRANGEBYSCORE', ahead, '-inf', clock() - age, 'LIMIT', 0, limit)
  for _, id in ipairs(ids) do found[#found + 1] = id end
end
return found

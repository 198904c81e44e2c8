-- Finds jobs that ended long ago and may have left a folder.
-- Returns their ids.
local age   = ARGV[1] -- milliseconds since they ended, at least
local limit = ARGV[2] -- most jobs

-- Ended in the future: the clock was set back since. They count as ended now.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', PREFIX .. 'unswept', '(' .. clock(), '+inf')) do
  redis.call('ZADD', PREFIX .. 'unswept', clock(), id)
end
return redis.call('ZRANGEBYSCORE', PREFIX .. 'unswept', '-inf', clock() - age, 'LIMIT', 0, limit)

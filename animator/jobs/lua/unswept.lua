-- Finds jobs that ended long ago and may have left a folder.
-- Returns their ids.
local age   = ARGV[1] -- milliseconds since they ended, at least
local limit = ARGV[2] -- most jobs

return redis.call('ZRANGEBYSCORE', PREFIX .. 'unswept', '-inf', clock() - age, 'LIMIT', 0, limit)

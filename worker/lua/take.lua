-- Takes events that are due, which then are not due for a while: should the worker die, another
-- one takes them after that.
-- Returns for each its id, the event as JSON, and how often sending was begun, this time included.
local limit = ARGV[1] -- most events
local held  = ARGV[2] -- milliseconds until others may take them

local due, now, taken = PREFIX .. 'webhooks', clock(), {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, limit)) do
  local event = redis.call('HGET', due .. ':events', id)
  redis.call('ZADD', due, now + held, id)
  table.insert(taken, {id, event, redis.call('HINCRBY', due .. ':tries', id, 1)})
end
return taken

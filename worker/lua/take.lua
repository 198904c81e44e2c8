-- Takes events that are due, which then are not due for a while: should the worker die, another
-- one takes them after that.
-- Returns for each its id, the event as JSON (or nil), and how often sending was begun, this time
-- included.
local limit   = ARGV[1] -- most events
local held    = ARGV[2] -- milliseconds until others may take them
local first   = ARGV[3] -- milliseconds before the second try, doubled from try to try
local longest = ARGV[4] -- their cap

local due, now, taken = PREFIX .. 'webhooks', clock(), {}

-- Due later than any try waits: the clock was set back since. A wait is spread by a fifth.
local later = redis.call('ZRANGEBYSCORE', due, '(' .. (now + 1000), '+inf', 'WITHSCORES')
for at = 1, #later, 2 do
  local tries = tonumber(redis.call('HGET', due .. ':tries', later[at]) or '0') or 0
  local wait = tries > 0 and math.min(first * 2 ^ (tries - 1), longest) * 1.2 or 0
  if tries > 0 then wait = math.max(wait, held) end
  if tonumber(later[at + 1]) > now + wait + 1000 then
    redis.call('ZADD', due, now + wait, later[at])
  end
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, limit)) do
  local event = redis.call('HGET', due .. ':events', id)
  redis.call('ZADD', due, now + held, id)
  local counted = redis.pcall('HINCRBY', due .. ':tries', id, 1)
  table.insert(taken, {id, event, type(counted) == 'number' and counted or 1})
end
return taken

-- Makes an event due again after a while; one that has been removed meanwhile stays removed.
-- Returns 0, as nothing is added.
local id   = ARGV[1]
local wait = ARGV[2] -- milliseconds

return redis.call('ZADD', PREFIX .. 'webhooks', 'XX', clock() + wait, id)

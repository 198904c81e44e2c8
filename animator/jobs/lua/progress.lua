-- Writes how far an attempt is.
-- Returns 1, or 0 if the job is no longer the attempt's.
local id       = ARGV[1]
local attempt  = ARGV[2]
local progress = ARGV[3] -- as JSON
local resumed  = ARGV[4] -- frames taken over from an earlier attempt, or '' if that is not known

local found = redis.call('HMGET', record(id), 'state', 'attempt')
if found[1] ~= 'running' or found[2] ~= attempt then return 0 end
redis.call('HSET', record(id), 'progress', progress)
if resumed ~= '' then redis.call('HSET', record(id), 'resumed', resumed) end
return 1

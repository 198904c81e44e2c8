-- Writes how far an attempt is.
-- Returns 1, or 0 if the job is no longer the attempt's.
local id       = ARGV[1]
local attempt  = ARGV[2]
local progress = ARGV[3] -- as JSON
local resumed  = ARGV[4] -- frames taken over from an earlier attempt, or '' if that is not known
local time     = ARGV[5] -- now: UTC, ISO 8601

local found = redis.call('HMGET', record(id), 'state', 'attempt', 'progress')
if found[1] ~= 'running' or found[2] ~= attempt then return 0 end
if found[3] ~= progress then
  redis.call('HSET', record(id), 'progress', progress)
  event(id, 'progress', time, 'running', progress)
end
if resumed ~= '' then redis.call('HSET', record(id), 'resumed', resumed) end
return 1

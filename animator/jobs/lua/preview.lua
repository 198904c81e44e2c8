-- Keeps the newest frame of an attempt for a while.
-- Returns 1, or 0 if the job is no longer the attempt's.
local id      = ARGV[1]
local attempt = ARGV[2]
local seconds = ARGV[3] -- how long
local picture = ARGV[4] -- a JPEG

if field(id, 'state') ~= 'running' or field(id, 'attempt') ~= attempt then return 0 end
redis.call('SET', PREFIX .. 'preview:' .. id, picture, 'EX', seconds)
return 1

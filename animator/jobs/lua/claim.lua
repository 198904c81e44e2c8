-- Begins an attempt at a queued job, and its lease.
-- Returns the number of the attempt, or 0 if the job is not queued.
local id       = ARGV[1]
local worker   = ARGV[2] -- who takes it
local time     = ARGV[3] -- now: UTC, ISO 8601
local version  = ARGV[4] -- of the worker's program
local lease    = ARGV[5] -- milliseconds
local isolated = ARGV[6] -- 1 to run it in a process of its own
local token    = ARGV[7] -- one that no other claim has

local job, state = record(id), field(id, 'state')
-- Sent a second time: this very claim has it.
if state == 'running' and field(id, 'claim') == token then return tonumber(field(id, 'attempt')) end
if state ~= 'queued' then return 0 end

-- The number of the attempt is the fencing token: changes by an earlier attempt are refused.
local attempt = redis.call('HINCRBY', job, 'attempt', 1)
move(id, state, 'running', time)
local alone = isolated == '1' or field(id, 'suspect') == '1'
redis.call('HDEL', job, 'error', 'result', 'finished', 'left')
redis.call('HSET', job, 'worker', worker, 'started', time, 'version', version, 'claim', token,
  'isolated', alone and '1' or '0', 'lease_ms', lease)
redis.call('ZADD', PREFIX .. 'leases', clock() + lease, id)
local where = alone and ' in a process of its own' or ''
note(id, time, worker, 'attempt ' .. attempt .. ' begins' .. where)
return attempt

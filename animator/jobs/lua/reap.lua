-- Queues jobs again whose lease ran out, or ends them.
-- Returns for each its id, state, attempt, worker, specification and options.
local time       = ARGV[1] -- now: UTC, ISO 8601
local max_lapses = ARGV[2] -- the lapse with this number is the last
local limit      = ARGV[3] -- most jobs at a time
local failure    = ARGV[4] -- of a job whose leases ran out too often, as JSON

-- Lease of a running job that has none, such as one that an older version began.
local ADOPTED_SECONDS = 60

if redis.call('ZCARD', PREFIX .. 'jobs:running') ~= redis.call('ZCARD', PREFIX .. 'leases') then
  for _, id in ipairs(redis.call('ZRANGE', PREFIX .. 'jobs:running', 0, -1)) do
    redis.call('ZADD', PREFIX .. 'leases', 'NX', clock() + 1000 * ADOPTED_SECONDS, id)
  end
end

local answers = {}
local lapsed =
  redis.call('ZRANGEBYSCORE', PREFIX .. 'leases', '-inf', clock(), 'LIMIT', 0, limit)
for _, id in ipairs(lapsed) do
  local worker, isolated = field(id, 'worker'), field(id, 'isolated') == '1'
  local to, lapses = 'queued', redis.call('HINCRBY', record(id), 'lapses', 1)
  if field(id, 'cancel') then
    to = 'cancelled'
  elseif lapses >= tonumber(max_lapses) then
    to = 'failed'
    redis.call('HSET', record(id), 'error', failure)
  elseif not isolated then
    -- It may be what killed its worker. One in a process of its own would have died alone.
    redis.call('HSET', record(id), 'suspect', '1')
  end
  note(id, time, worker, 'the worker was not heard of for too long: ' .. to)
  move(id, 'running', to, time)
  local found = redis.call('HMGET', record(id), 'attempt', 'spec', 'options')
  answers[#answers + 1] = {id, to, found[1], worker or '', found[2], found[3] or ''}
end
return answers

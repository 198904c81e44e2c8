-- Queues jobs again whose lease ran out, or ends them.
-- Returns for each its id, state, attempt and worker.
local time       = ARGV[1] -- now: UTC, ISO 8601
local max_lapses = ARGV[2] -- the lapse with this number is the last
local limit      = ARGV[3] -- most jobs at a time
local failure    = ARGV[4] -- of a job whose leases ran out too often, as JSON
local damaged    = ARGV[5] -- of a job whose record is damaged, as JSON
local expected   = ARGV[6] -- milliseconds that the clock should show, or 0 if that is not known
local tolerance  = ARGV[7] -- milliseconds that it may be off

-- Lease of a running job that has none, such as one that an older version began.
local ADOPTED_MS = 60000
-- The longest that a worker of an older version, which did not say, may have asked for.
local UNKNOWN_MS = 3600000
-- How much later than asked for a lease may end: clocks are not exact.
local SLACK_MS = 2000

-- The clock was set: leases say nothing until their owners have renewed them.
if expected ~= '0' and math.abs(clock() - expected) > tonumber(tolerance) then return {} end

local leases = PREFIX .. 'leases'
if redis.call('ZCARD', PREFIX .. 'jobs:running') ~= redis.call('ZCARD', leases) then
  for _, id in ipairs(redis.call('ZRANGE', PREFIX .. 'jobs:running', 0, -1)) do
    redis.call('ZADD', leases, 'NX', clock() + ADOPTED_MS, id)
  end
end

-- The clock was set back: nobody can have asked for so long. The owner, if it lives, renews it.
local later = redis.call('ZRANGEBYSCORE', leases, '(' .. (clock() + SLACK_MS), '+inf', 'WITHSCORES')
for at = 1, #later, 2 do
  local id = later[at]
  local asked = tonumber(field(id, 'lease_ms') or '') or UNKNOWN_MS
  if tonumber(later[at + 1]) > clock() + asked + SLACK_MS then
    redis.call('ZADD', leases, clock() + asked, id)
  end
end

local function reap(id)
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
  return {id, to, field(id, 'attempt') or '', worker or ''}
end

local answers = {}
local lapsed = redis.call('ZRANGEBYSCORE', leases, '-inf', clock(), 'LIMIT', 0, limit)
for _, id in ipairs(lapsed) do
  -- One record that is damaged must not stop the others.
  local state = field(id, 'state')
  local done, answer = state ~= false, nil
  if done then done, answer = pcall(reap, id) end
  if done then answers[#answers + 1] = answer else set_aside(id, time, damaged, {}) end
end
return answers

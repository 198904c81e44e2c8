-- Functions for all scripts of jobs. `move` is the only way to another state.
-- `animator.jobs.store` lists the keys; RATE_BUCKET_SECONDS, RATE_SECONDS and EVENTS, the most
-- events that are kept, come from Python.

-- Lines that a job's log keeps, the last ones.
local LOG_LINES = 200
-- Queue of a job whose record names none, as those of older versions do not.
local DEFAULT_QUEUE = 'any.normal'

-- The key of a job's record.
local function record(id) return PREFIX .. 'job:' .. id end

-- A field of a job's record; false if it has none, or if what is there is no record.
local function field(id, name)
  local value = redis.pcall('HGET', record(id), name)
  return type(value) == 'string' and value
end

-- Adds a line to a job's log.
local function note(id, time, worker, text)
  local log = PREFIX .. 'log:' .. id
  redis.call('RPUSH', log, cjson.encode({time, worker or '', text}))
  redis.call('LTRIM', log, -LOG_LINES, -1)
end

-- Tells those who watch of a change of a job, in the very step that makes it. `kind` is what
-- `animator.jobs.events` says; `progress` is JSON, or nil.
local function event(id, kind, time, state, progress)
  local stream = PREFIX .. 'events'
  local entry = {'XADD', stream, 'MAXLEN', '~', EVENTS, '*', 'job', id, 'kind', kind,
    'state', state, 'attempt', field(id, 'attempt') or '0', 'time', time}
  if progress then
    entry[#entry + 1] = 'progress'
    entry[#entry + 1] = progress
  end
  local answer = redis.pcall(unpack(entry))
  -- What is there is no stream, or takes no more entries. No job may stop for that.
  if type(answer) == 'table' and answer.err then
    redis.call('DEL', stream)
    redis.call(unpack(entry))
  end
end

-- The key of the sorted set that a queued job waits in.
local function waiting(id)
  return PREFIX .. 'waiting:' .. (field(id, 'queue') or DEFAULT_QUEUE)
end

-- Counts the end of a job for the rates. A bucket lives two widths longer than it is looked at.
local function count_end(state, frames)
  local bucket = PREFIX .. 'ended:' .. math.floor(clock() / (1000 * RATE_BUCKET_SECONDS))
  redis.call('HINCRBY', bucket, state, 1)
  redis.call('HINCRBY', bucket, 'frames', frames)
  redis.call('EXPIRE', bucket, RATE_SECONDS + 2 * RATE_BUCKET_SECONDS)
end

-- Puts the webhook of a job that has ended into the outbox; `worker.outbox` sends it.
local function announce(id, state)
  local readable, options = pcall(cjson.decode, field(id, 'options') or '{}')
  local url = readable and type(options) == 'table' and options.webhook
  if type(url) ~= 'string' then return end
  local name = id .. '-' .. redis.call('INCR', PREFIX .. 'webhooks:number')
  redis.call('HSET', PREFIX .. 'webhooks:events', name, cjson.encode(
    {job = id, url = url, state = state, attempt = tonumber(field(id, 'attempt'))}))
  redis.call('ZADD', PREFIX .. 'webhooks', clock(), name)
end

-- Removes a job that has ended in a state: its key of submission, record, log and preview.
local function forget(id, state, time)
  event(id, 'removed', time, state)
  local key = field(id, 'key')
  -- By now the key may be that of a later job.
  if key and redis.call('HGET', PREFIX .. 'keys', key) == id then
    redis.call('HDEL', PREFIX .. 'keys', key)
  end
  redis.call('DEL', record(id), PREFIX .. 'log:' .. id, PREFIX .. 'preview:' .. id)
  redis.call('ZREM', PREFIX .. 'jobs', id)
  redis.call('ZREM', PREFIX .. 'jobs:' .. state, id)
end

-- Moves a job from one state to another. `frames` are those made, of a job that succeeds.
local function move(id, from, to, time, frames)
  local job = record(id)
  local created = redis.call('ZSCORE', PREFIX .. 'jobs', id) or 1000 * clock()
  redis.call('HSET', job, 'state', to)
  redis.call('ZREM', PREFIX .. 'jobs:' .. from, id)
  redis.call('ZADD', PREFIX .. 'jobs:' .. to, created, id)
  event(id, 'state', time, to)

  -- Nothing of the state before is left: no lease, no place in a queue, no token of a claim.
  redis.call('ZREM', PREFIX .. 'leases', id)
  redis.call('ZREM', waiting(id), id)
  redis.call('HDEL', job, 'claim', 'isolated')

  if to == 'queued' then
    redis.call('ZADD', waiting(id), clock(), id)
    redis.call('HDEL', job, 'progress', 'started', 'worker', 'resumed')
  elseif to ~= 'running' then -- the job has ended
    redis.call('HDEL', job, 'cancel')
    redis.call('HSET', job, 'finished', time)
    count_end(to, frames or 0)
    -- A job that was never begun has left no folder.
    if field(id, 'attempt') ~= '0' then redis.call('ZADD', PREFIX .. 'unswept', clock(), id) end
    announce(id, to)
    -- With overwriting, the output may be that of a later job.
    local output, outputs = redis.call('HGET', job, 'output'), PREFIX .. 'outputs'
    if redis.call('HGET', outputs, output) == id then redis.call('HDEL', outputs, output) end
  end
end

-- Takes a job whose record cannot be used out of all that workers look through. It fails, unless
-- there is no record to say so in. `error` is JSON; `queues` are the names of all queues.
local function set_aside(id, time, error, queues)
  for _, state in ipairs({'queued', 'running', 'succeeded', 'failed', 'cancelled'}) do
    redis.call('ZREM', PREFIX .. 'jobs:' .. state, id)
  end
  redis.call('ZREM', PREFIX .. 'leases', id)
  redis.call('ZREM', waiting(id), id)
  for _, queue in ipairs(queues) do redis.call('ZREM', PREFIX .. 'waiting:' .. queue, id) end

  local kind = redis.call('TYPE', record(id)).ok
  if kind == 'none' and redis.call('ZREM', PREFIX .. 'jobs', id) == 1 then
    event(id, 'removed', time, 'failed')
  end
  if kind ~= 'hash' then return end
  local created = redis.call('ZSCORE', PREFIX .. 'jobs', id) or 1000 * clock()
  redis.call('ZADD', PREFIX .. 'jobs:failed', created, id)
  redis.call('HSET', record(id), 'state', 'failed', 'error', error, 'finished', time)
  redis.call('HDEL', record(id), 'cancel', 'claim', 'isolated')
  event(id, 'state', time, 'failed')
  note(id, time, '', 'failed: the record cannot be read')
  pcall(announce, id, 'failed')
  local output, outputs = field(id, 'output'), PREFIX .. 'outputs'
  if output and redis.call('HGET', outputs, output) == id then
    redis.call('HDEL', outputs, output)
  end
end

"""The atomic changes of a job's state, as Lua that Redis runs.

The first argument of each is the prefix of all keys, the others are what the script's comment says.
They return 0 for a change that does not apply, unless said otherwise. Each may be sent twice, see
`animator.broker.connection.RedisBase`.

Leases and waiting times are by the clock of Redis itself, since those of the workers differ; the
times that people read are the callers'.
"""

from __future__ import annotations

LOG_LINES = 200
"""Lines that a job's log keeps, the last ones."""
RATE_BUCKET_SECONDS = 10
RATE_SECONDS = 3600
"""How far back rates can be told."""
DEFAULT_QUEUE = "any.normal"
"""Queue of a job whose record names none, as those of older versions do not."""
ADOPTED_SECONDS = 60
"""Lease of a running job that has none, such as one that an older version began."""

# Before every script. `move` is the only way to another state.
PREAMBLE = f"""
local P = ARGV[1]
local function key_of(id) return P .. 'job:' .. id end
local function field(id, name) return redis.call('HGET', key_of(id), name) end
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function note(id, time, worker, text)
  local log = P .. 'log:' .. id
  redis.call('RPUSH', log, cjson.encode({{time, worker or '', text}}))
  redis.call('LTRIM', log, -{LOG_LINES}, -1)
end
local function waiting(id)
  return P .. 'waiting:' .. (field(id, 'queue') or '{DEFAULT_QUEUE}')
end
local function count_end(state, frames)
  local bucket = P .. 'ended:' .. math.floor(clock() / {1000 * RATE_BUCKET_SECONDS})
  redis.call('HINCRBY', bucket, state, 1)
  redis.call('HINCRBY', bucket, 'frames', frames)
  redis.call('EXPIRE', bucket, {RATE_SECONDS + 2 * RATE_BUCKET_SECONDS})
end
-- The webhook of a job that has ended; worker.outbox reads it.
local function announce(id, state)
  local url = cjson.decode(field(id, 'options') or '{{}}').webhook
  if type(url) ~= 'string' then return end
  local event = id .. '-' .. redis.call('INCR', P .. 'webhooks:number')
  redis.call('HSET', P .. 'webhooks:events', event, cjson.encode(
    {{job = id, url = url, state = state, attempt = tonumber(field(id, 'attempt'))}}))
  redis.call('ZADD', P .. 'webhooks', clock(), event)
end
local function forget(id, index)
  local key = field(id, 'key')
  if key and redis.call('HGET', P .. 'keys', key) == id then
    redis.call('HDEL', P .. 'keys', key)
  end
  redis.call('DEL', key_of(id), P .. 'log:' .. id)
  redis.call('ZREM', P .. 'jobs', id)
  redis.call('ZREM', index, id)
end
local function move(id, from, to, time, frames)
  local job = key_of(id)
  local score = redis.call('ZSCORE', P .. 'jobs', id)
  redis.call('HSET', job, 'state', to)
  redis.call('ZREM', P .. 'jobs:' .. from, id)
  redis.call('ZADD', P .. 'jobs:' .. to, score, id)
  redis.call('ZREM', P .. 'leases', id)
  redis.call('ZREM', waiting(id), id)
  redis.call('HDEL', job, 'claim', 'isolated')
  if to == 'queued' then
    redis.call('ZADD', waiting(id), clock(), id)
    redis.call('HDEL', job, 'progress', 'started', 'worker', 'resumed')
  elseif to ~= 'running' then
    redis.call('HDEL', job, 'cancel')
    redis.call('HSET', job, 'finished', time)
    count_end(to, frames or 0)
    if field(id, 'attempt') ~= '0' then redis.call('ZADD', P .. 'unswept', clock(), id) end
    announce(id, to)
    local output, outputs = redis.call('HGET', job, 'output'), P .. 'outputs'
    if redis.call('HGET', outputs, output) == id then redis.call('HDEL', outputs, output) end
  end
end
"""

# Id, time of creation in microseconds, output, 1 if other jobs may be going to write it, key or '',
# then pairs of fields. Returns 1 and the id; or 0 and the id of the job that has the key; or -1 and
# the id of the job that is going to write the output.
CREATE = """
local id, score, output, shared, key = ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1', ARGV[6]
if redis.call('EXISTS', key_of(id)) == 1 then return {1, id} end
if key ~= '' then
  local there = redis.call('HGET', P .. 'keys', key)
  if there and redis.call('EXISTS', key_of(there)) == 1 then return {0, there} end
end
if not shared then
  local other = redis.call('HGET', P .. 'outputs', output)
  if other then return {-1, other} end
end
if key ~= '' then
  redis.call('HSET', P .. 'keys', key, id)
  redis.call('HSET', key_of(id), 'key', key)
end
redis.call('HSET', P .. 'outputs', output, id)
redis.call('HSET', key_of(id), 'state', 'queued', 'attempt', '0', 'output', output, unpack(ARGV, 7))
redis.call('ZADD', P .. 'jobs', score, id)
redis.call('ZADD', P .. 'jobs:queued', score, id)
redis.call('ZADD', waiting(id), clock(), id)
return {1, id}
"""

# Id, worker, time, version, lease in ms, 1 to run it in a process of its own, a token that no other
# claim has. Returns the attempt.
CLAIM = """
local id, worker, time, token = ARGV[2], ARGV[3], ARGV[4], ARGV[8]
local job, state = key_of(ARGV[2]), field(ARGV[2], 'state')
if state == 'running' and field(id, 'claim') == token then return tonumber(field(id, 'attempt')) end
if state ~= 'queued' then return 0 end
move(id, state, 'running', time)
local isolated = ARGV[7] == '1' or field(id, 'suspect') == '1'
redis.call('HDEL', job, 'error', 'result', 'finished', 'left')
redis.call('HSET', job, 'worker', worker, 'started', time, 'version', ARGV[5], 'claim', token,
  'isolated', isolated and '1' or '0')
redis.call('ZADD', P .. 'leases', clock() + ARGV[6], id)
local attempt = redis.call('HINCRBY', job, 'attempt', 1)
local where = isolated and ' in a process of its own' or ''
note(id, time, worker, 'attempt ' .. attempt .. ' begins' .. where)
return attempt
"""

# Lease in ms or 0 to leave it, then pairs of id and attempt. Returns for each 0 if it is no longer
# the attempt's, 1 if it is, 2 if it is and is to be cancelled.
RENEW = """
local expiry, answers = clock() + ARGV[2], {}
for at = 3, #ARGV, 2 do
  local id, answer = ARGV[at], 0
  local found = redis.call('HMGET', key_of(id), 'state', 'attempt', 'cancel')
  if found[1] == 'running' and found[2] == ARGV[at + 1] then
    if ARGV[2] ~= '0' then redis.call('ZADD', P .. 'leases', expiry, id) end
    answer = found[3] and 2 or 1
  end
  answers[#answers + 1] = answer
end
return answers
"""

# Id, attempt, progress, frames taken over or ''.
PROGRESS = """
local found = redis.call('HMGET', key_of(ARGV[2]), 'state', 'attempt')
if found[1] ~= 'running' or found[2] ~= ARGV[3] then return 0 end
redis.call('HSET', key_of(ARGV[2]), 'progress', ARGV[4])
if ARGV[5] ~= '' then redis.call('HSET', key_of(ARGV[2]), 'resumed', ARGV[5]) end
return 1
"""

# Id, attempt, new state, time, frames made, 1 to suspect it, most crashes or '' if it did not
# crash, line for the log, then pairs of fields for a job that succeeds or fails. A job that is
# given back and was to be cancelled is cancelled; one that crashed too often fails. Returns the
# state that follows, or nil.
LEAVE = """
local id, asked, time = ARGV[2], ARGV[4], ARGV[5]
local found = redis.call('HMGET', key_of(id), 'state', 'attempt', 'left', 'worker')
if found[2] ~= ARGV[3] then return false end
if found[1] ~= 'running' then return found[3] == asked and found[1] end
local to = asked
if asked == 'queued' then
  if field(id, 'cancel') then
    to = 'cancelled'
  elseif ARGV[8] ~= '' then
    redis.call('HSET', key_of(id), 'suspect', '1')
    local crashes = redis.call('HINCRBY', key_of(id), 'crashes', 1)
    if crashes >= tonumber(ARGV[8]) then to = 'failed' end
  elseif ARGV[7] == '1' then
    redis.call('HSET', key_of(id), 'suspect', '1')
  end
end
note(id, time, found[4], ARGV[9])
if to ~= asked then note(id, time, found[4], to) end
move(id, found[1], to, time, ARGV[6])
redis.call('HSET', key_of(id), 'left', asked)
if (to == 'succeeded' or to == 'failed') and #ARGV > 9 then
  redis.call('HSET', key_of(id), unpack(ARGV, 10))
end
return to
"""

# Time, most lapses, limit, error of a job with too many. Jobs whose lease ran out are queued again,
# or end. Returns for each its id, state, attempt, worker, output, specification and options.
REAP = f"""
local time, answers = ARGV[2], {{}}
if redis.call('ZCARD', P .. 'jobs:running') ~= redis.call('ZCARD', P .. 'leases') then
  for _, id in ipairs(redis.call('ZRANGE', P .. 'jobs:running', 0, -1)) do
    redis.call('ZADD', P .. 'leases', 'NX', clock() + {1000 * ADOPTED_SECONDS}, id)
  end
end
local lapsed = redis.call('ZRANGEBYSCORE', P .. 'leases', '-inf', clock(), 'LIMIT', 0, ARGV[4])
for _, id in ipairs(lapsed) do
  local worker, isolated = field(id, 'worker'), field(id, 'isolated') == '1'
  local to, lapses = 'queued', redis.call('HINCRBY', key_of(id), 'lapses', 1)
  if field(id, 'cancel') then
    to = 'cancelled'
  elseif lapses >= tonumber(ARGV[3]) then
    to = 'failed'
    redis.call('HSET', key_of(id), 'error', ARGV[5])
  elseif not isolated then
    redis.call('HSET', key_of(id), 'suspect', '1')
  end
  note(id, time, worker, 'the worker was not heard of for too long: ' .. to)
  move(id, 'running', to, time)
  local found = redis.call('HMGET', key_of(id), 'attempt', 'spec', 'options')
  answers[#answers + 1] = {{id, to, found[1], worker or '', found[2], found[3] or ''}}
end
return answers
"""

# Id, time. Returns the state that follows, or nil if there is no such job.
CANCEL = """
local id, state = ARGV[2], field(ARGV[2], 'state')
if not state then return false end
if state == 'queued' then
  note(id, ARGV[3], '', 'cancelled while it waited')
  move(id, state, 'cancelled', ARGV[3])
  return 'cancelled'
end
if state == 'running' and redis.call('HSETNX', key_of(id), 'cancel', '1') == 1 then
  note(id, ARGV[3], '', 'asked to cancel')
end
return state
"""

# Id, time. Returns 1 and 'queued', 0 and the state that forbids it, -1 and the id of another job
# that is going to write the output, or nil if there is no such job. The attempt goes on counting.
RETRY = """
local id, state = ARGV[2], field(ARGV[2], 'state')
if not state then return false end
if state == 'queued' then return {1, state} end
if state ~= 'failed' and state ~= 'cancelled' then return {0, state} end
local output = field(id, 'output')
if redis.call('HSETNX', P .. 'outputs', output, id) == 0 then
  return {-1, redis.call('HGET', P .. 'outputs', output)}
end
redis.call('HDEL', key_of(id), 'error', 'result', 'finished', 'suspect', 'crashes', 'lapses',
  'left')
move(id, state, 'queued', ARGV[3])
note(id, ARGV[3], '', 'to be tried again')
return {1, 'queued'}
"""

# Oldest age in ms, most jobs of each queue, names of all queues. Returns ids of queued jobs that
# workers were told of so long ago.
WAITING = """
local known, found = 0, {}
for at = 4, #ARGV do known = known + redis.call('ZCARD', P .. 'waiting:' .. ARGV[at]) end
if redis.call('ZCARD', P .. 'jobs:queued') ~= known then
  for _, id in ipairs(redis.call('ZRANGE', P .. 'jobs:queued', 0, -1)) do
    redis.call('ZADD', waiting(id), 'NX', 0, id)
  end
end
for at = 4, #ARGV do
  local ids = redis.call('ZRANGEBYSCORE', P .. 'waiting:' .. ARGV[at], '-inf', clock() - ARGV[2],
    'LIMIT', 0, ARGV[3])
  for _, id in ipairs(ids) do found[#found + 1] = id end
end
return found
"""

# Ids: workers are told of them now.
TOLD = """
for at = 2, #ARGV do redis.call('ZADD', waiting(ARGV[at]), 'XX', clock(), ARGV[at]) end
"""

# Age in ms, most jobs. Returns ids of jobs that ended so long ago and were not swept.
UNSWEPT = """
return redis.call('ZRANGEBYSCORE', P .. 'unswept', '-inf', clock() - ARGV[2], 'LIMIT', 0, ARGV[3])
"""

# Ids of jobs after which nothing is left.
SWEPT = """
for at = 2, #ARGV do redis.call('ZREM', P .. 'unswept', ARGV[at]) end
"""

# Id, time, worker, line.
LOG = """
if redis.call('EXISTS', key_of(ARGV[2])) == 0 then return 0 end
note(ARGV[2], ARGV[3], ARGV[4], ARGV[5])
return 1
"""

# State, time before which jobs ended, the same in microseconds, how many of the oldest to skip, how
# many to look at. Returns how many were removed and how many were kept.
PURGE = """
local index, removed = P .. 'jobs:' .. ARGV[2], 0
local ids = redis.call('ZRANGEBYSCORE', index, '-inf', '(' .. ARGV[4], 'LIMIT', ARGV[5], ARGV[6])
for _, id in ipairs(ids) do
  local finished = field(id, 'finished')
  if not finished or finished < ARGV[3] then
    forget(id, index)
    removed = removed + 1
  end
end
return {removed, #ids - removed}
"""

# Ids. Removes those that have ended; returns how many.
REMOVE = """
local removed = 0
for at = 2, #ARGV do
  local id, state = ARGV[at], field(ARGV[at], 'state')
  if state == 'succeeded' or state == 'failed' or state == 'cancelled' then
    forget(id, P .. 'jobs:' .. state)
    removed = removed + 1
  end
end
return removed
"""

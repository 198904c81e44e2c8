"""The atomic changes of a job's state, as Lua that Redis runs; `animator.store` calls them.

Arguments of each: the prefix of all keys, the job's id, then what the script's comment says. They
return 0 for a change that does not apply, unless said otherwise.
"""

# Before every script: the job's key and state, and `move`, the only way to another state.
PREAMBLE = """
local function move(job, id, from, to)
  local score = redis.call('ZSCORE', ARGV[1] .. 'jobs', id)
  redis.call('HSET', job, 'state', to)
  redis.call('ZREM', ARGV[1] .. 'jobs:' .. from, id)
  redis.call('ZADD', ARGV[1] .. 'jobs:' .. to, score, id)
  if to == 'succeeded' or to == 'failed' or to == 'cancelled' then
    local output = redis.call('HGET', job, 'output')
    local outputs = ARGV[1] .. 'outputs'
    if redis.call('HGET', outputs, output) == id then redis.call('HDEL', outputs, output) end
  end
end
local id = ARGV[2]
local job = ARGV[1] .. 'job:' .. id
local state = redis.call('HGET', job, 'state')
"""

# Time of creation, output, 1 if other jobs may be going to write it, then pairs of fields.
# Returns 1, or the id of the job that is going to write the output.
CREATE = """
if state then return 0 end
if ARGV[5] == '0' then
  local other = redis.call('HGET', ARGV[1] .. 'outputs', ARGV[4])
  if other then return other end
end
redis.call('HSET', ARGV[1] .. 'outputs', ARGV[4], id)
redis.call('HSET', job, 'output', ARGV[4], unpack(ARGV, 6))
redis.call('ZADD', ARGV[1] .. 'jobs', ARGV[3], id)
redis.call('ZADD', ARGV[1] .. 'jobs:queued', ARGV[3], id)
return 1
"""

# Worker, time, version. Returns the attempt.
# A running job whose worker has no sign of life left is given to whom it is delivered again.
CLAIM = """
local takeover = state == 'running'
  and redis.call('EXISTS', ARGV[1] .. 'worker:' .. (redis.call('HGET', job, 'worker') or '')) == 0
if state ~= 'queued' and not takeover then return 0 end
move(job, id, state, 'running')
redis.call('HSET', job, 'worker', ARGV[3], 'started', ARGV[4], 'version', ARGV[5])
redis.call('HDEL', job, 'progress', 'error', 'result', 'finished')
return redis.call('HINCRBY', job, 'attempt', 1)
"""

# Attempt, progress.
PROGRESS = """
if state ~= 'running' or redis.call('HGET', job, 'attempt') ~= ARGV[3] then return 0 end
redis.call('HSET', job, 'progress', ARGV[4])
return 1
"""

# Attempt, new state, time, then pairs of fields. A job that is given back and was to be cancelled
# is cancelled.
LEAVE = """
if state ~= 'running' or redis.call('HGET', job, 'attempt') ~= ARGV[3] then return 0 end
local to = ARGV[4]
if to == 'queued' and redis.call('HGET', job, 'cancel') then to = 'cancelled' end
move(job, id, state, to)
redis.call('HDEL', job, 'cancel')
if to == 'queued' then
  redis.call('HDEL', job, 'progress', 'started', 'worker')
else
  redis.call('HSET', job, 'finished', ARGV[5])
end
if #ARGV > 5 then redis.call('HSET', job, unpack(ARGV, 6)) end
return 1
"""

# Time. Returns the state that follows, or nil if there is no such job.
CANCEL = """
if not state then return false end
if state == 'queued' then
  move(job, id, state, 'cancelled')
  redis.call('HSET', job, 'finished', ARGV[3])
  return 'cancelled'
end
if state == 'running' then redis.call('HSET', job, 'cancel', '1') end
return state
"""

# Error, time. A job whose worker has no sign of life left fails, or is cancelled if it was to be.
ABANDON = """
if state ~= 'running' then return 0 end
local worker = redis.call('HGET', job, 'worker') or ''
if redis.call('EXISTS', ARGV[1] .. 'worker:' .. worker) == 1 then return 0 end
local to = 'failed'
if redis.call('HGET', job, 'cancel') then to = 'cancelled' end
move(job, id, state, to)
redis.call('HDEL', job, 'cancel')
if to == 'failed' then redis.call('HSET', job, 'error', ARGV[3]) end
redis.call('HSET', job, 'finished', ARGV[4])
return 1
"""

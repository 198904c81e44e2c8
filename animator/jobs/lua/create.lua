-- Records a job as queued, unless its key or its output is another job's.
-- Returns 1 and the id; or 0 and the id of the job that has the key; or -1 and the id of the job
-- that is going to write the output.
local id     = ARGV[1]
local score  = ARGV[2] -- time of creation in microseconds, by which jobs are listed
local output = ARGV[3]
local shared = ARGV[4] -- 1 if other jobs may be going to write the output
local key    = ARGV[5] -- of the submission, or ''
local time   = ARGV[6] -- the same as the score: UTC, ISO 8601
local fields = tail(7) -- of the record: name, value, name, value, ...

-- Sent a second time: ids are never used twice.
if redis.call('EXISTS', record(id)) == 1 then return {1, id} end

if key ~= '' then
  local there = redis.call('HGET', PREFIX .. 'keys', key)
  if there and redis.call('EXISTS', record(there)) == 1 then return {0, there} end
end
if shared ~= '1' then
  local other = redis.call('HGET', PREFIX .. 'outputs', output)
  if other then return {-1, other} end
end

if key ~= '' then
  redis.call('HSET', PREFIX .. 'keys', key, id)
  redis.call('HSET', record(id), 'key', key)
end
redis.call('HSET', PREFIX .. 'outputs', output, id)
redis.call('HSET', record(id), 'state', 'queued', 'attempt', '0', 'output', output, unpack(fields))
redis.call('ZADD', PREFIX .. 'jobs', score, id)
redis.call('ZADD', PREFIX .. 'jobs:queued', score, id)
redis.call('ZADD', waiting(id), clock(), id)
event(id, 'state', time, 'queued')
return {1, id}

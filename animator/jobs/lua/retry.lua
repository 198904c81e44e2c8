-- Queues a job again that failed or was cancelled; its attempts go on counting.
-- Returns 1 and 'queued'; or 0 and the state that forbids it; or -1 and the id of another job that
-- is going to write the output; or nil if there is no such job.
local id      = ARGV[1]
local time    = ARGV[2] -- now: UTC, ISO 8601
local options = ARGV[3] -- other options than before, as JSON, or ''

local state = field(id, 'state')
if not state then return false end
if state == 'queued' then return {1, state} end
if state ~= 'failed' and state ~= 'cancelled' then return {0, state} end

local output = field(id, 'output')
if redis.call('HSETNX', PREFIX .. 'outputs', output, id) == 0 then
  return {-1, redis.call('HGET', PREFIX .. 'outputs', output)}
end
redis.call('HDEL', record(id), 'error', 'result', 'finished', 'suspect', 'crashes', 'lapses',
  'left')
if options ~= '' then redis.call('HSET', record(id), 'options', options) end
move(id, state, 'queued', time)
note(id, time, '', 'to be tried again')
return {1, 'queued'}

-- Cancels a job that waits, and asks the worker of one that runs to stop.
-- Returns the state that follows, or nil if there is no such job.
local id   = ARGV[1]
local time = ARGV[2] -- now: UTC, ISO 8601

local state = field(id, 'state')
if not state then return false end
if state == 'queued' then
  note(id, time, '', 'cancelled while it waited')
  move(id, state, 'cancelled', time)
  return 'cancelled'
end
-- The worker learns of it when it renews the lease.
if state == 'running' and redis.call('HSETNX', record(id), 'cancel', '1') == 1 then
  note(id, time, '', 'asked to cancel')
  event(id, 'state', time, state)
end
return state

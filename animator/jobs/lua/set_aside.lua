-- Ends a job that waits and whose record cannot be read.
-- Returns 1, or 0 if it is running or has ended.
local id      = ARGV[1]
local time    = ARGV[2] -- now: UTC, ISO 8601
local failure = ARGV[3] -- why, as JSON
local queues  = tail(4) -- names of all queues

local state = field(id, 'state')
if state == 'running' or state == 'succeeded' or state == 'failed' or state == 'cancelled' then
  return 0
end
set_aside(id, time, failure, queues)
return 1

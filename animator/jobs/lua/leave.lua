-- Ends an attempt: the job succeeds, fails, is cancelled or goes back to its queue. One that goes
-- back and was to be cancelled is cancelled; one that crashed too often fails.
-- Returns the state that follows, or nil if the job is no longer the attempt's.
local id          = ARGV[1]
local attempt     = ARGV[2]
local asked       = ARGV[3] -- state that is asked for
local time        = ARGV[4] -- now: UTC, ISO 8601
local frames      = ARGV[5] -- that were made
local suspect     = ARGV[6] -- 1 to run it in a process of its own from now on
local max_crashes = ARGV[7] -- the crash with this number is the last; '' if it did not crash
local line        = ARGV[8] -- for the log
local fields      = tail(9) -- of the record of a job that succeeds or fails: name, value, ...

local found = redis.call('HMGET', record(id), 'state', 'attempt', 'left', 'worker')
if found[2] ~= attempt then return false end
-- Sent a second time: answer as at first if that is how this attempt ended.
if found[1] ~= 'running' then return found[3] == asked and found[1] end

local to = asked
if asked == 'queued' then
  if field(id, 'cancel') then
    to = 'cancelled'
  elseif max_crashes ~= '' then
    redis.call('HSET', record(id), 'suspect', '1')
    local crashes = redis.call('HINCRBY', record(id), 'crashes', 1)
    if crashes >= tonumber(max_crashes) then to = 'failed' end
  elseif suspect == '1' then
    redis.call('HSET', record(id), 'suspect', '1')
  end
end

note(id, time, found[4], line)
if to ~= asked then note(id, time, found[4], to) end
move(id, found[1], to, time, frames)
redis.call('HSET', record(id), 'left', asked)
if (to == 'succeeded' or to == 'failed') and #fields > 0 then
  redis.call('HSET', record(id), unpack(fields))
end
return to

-- Adds a line to a job's log.
-- Returns 1, or 0 if there is no such job.
local id     = ARGV[1]
local time   = ARGV[2] -- now: UTC, ISO 8601
local worker = ARGV[3] -- whose line it is, or ''
local line   = ARGV[4]

if redis.call('EXISTS', record(id)) == 0 then return 0 end
note(id, time, worker, line)
return 1

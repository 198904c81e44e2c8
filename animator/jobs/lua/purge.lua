-- Removes jobs that ended before a moment, looking at the oldest ones by creation.
-- Returns how many were removed and how many were kept.
local state  = ARGV[1] -- that they ended in
local before = ARGV[2] -- the moment: UTC, ISO 8601, which sorts as time does
local score  = ARGV[3] -- the same in microseconds; later ones cannot have ended before it
local skip   = ARGV[4] -- how many of the oldest to skip, which were kept before
local limit  = ARGV[5] -- how many to look at
local time   = ARGV[6] -- now: UTC, ISO 8601

local index, removed = PREFIX .. 'jobs:' .. state, 0
local ids = redis.call('ZRANGEBYSCORE', index, '-inf', '(' .. score, 'LIMIT', skip, limit)
for _, id in ipairs(ids) do
  local finished = field(id, 'finished')
  if not finished or finished < before then
    forget(id, state, time)
    removed = removed + 1
  end
end
return {removed, #ids - removed}

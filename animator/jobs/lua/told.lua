-- Notes that workers are told of jobs now; of jobs that do not wait any more, nothing.
-- Returns nil.
local ids = tail(1)

for _, id in ipairs(ids) do redis.call('ZADD', waiting(id), 'XX', clock(), id) end

-- Notes that ended jobs have left no folder.
-- Returns nil.
local ids = tail(1)

for _, id in ipairs(ids) do redis.call('ZREM', PREFIX .. 'unswept', id) end

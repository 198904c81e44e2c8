-- Removes those of the jobs that have ended.
-- Returns how many.
local time = ARGV[1] -- now: UTC, ISO 8601
local ids  = tail(2)

local removed = 0
for _, id in ipairs(ids) do
  local state = field(id, 'state')
  if state == 'succeeded' or state == 'failed' or state == 'cancelled' then
    forget(id, state, time)
    removed = removed + 1
  end
end
return removed

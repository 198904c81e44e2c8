-- Removes those of the jobs that have ended.
-- Returns how many.
local ids = tail(1)

local removed = 0
for _, id in ipairs(ids) do
  local state = field(id, 'state')
  if state == 'succeeded' or state == 'failed' or state == 'cancelled' then
    forget(id, PREFIX .. 'jobs:' .. state)
    removed = removed + 1
  end
end
return removed

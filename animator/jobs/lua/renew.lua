-- Prolongs the leases of attempts, and tells how things are with them.
-- Returns for each 0 if the job is no longer the attempt's; else 1, and 2 more if it is to be
-- cancelled, and 4 more if somebody looks at it.
local lease    = ARGV[1] -- milliseconds from now, or 0 to leave leases as they are
local attempts = tail(2) -- id, attempt, id, attempt, ...

local answers = {}
for at = 1, #attempts, 2 do
  local id, answer = attempts[at], 0
  -- What is there may be no record.
  local found = redis.pcall('HMGET', record(id), 'state', 'attempt', 'cancel')
  if found[1] == 'running' and found[2] == attempts[at + 1] then
    if lease ~= '0' then redis.call('ZADD', PREFIX .. 'leases', clock() + lease, id) end
    local cancel = found[3] and 2 or 0
    answer = 1 + cancel + 4 * redis.call('EXISTS', PREFIX .. 'preview:wanted:' .. id)
  end
  answers[#answers + 1] = answer
end
return answers

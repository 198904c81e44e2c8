-- Functions for all scripts. Before them come the constants, PREFIX among them, which all keys
-- begin with.

-- The arguments from one on, however many there are (`unpack` stops at some thousands).
local function tail(first)
  local values = {}
  for at = first, #ARGV do values[#values + 1] = ARGV[at] end
  return values
end

-- Milliseconds since 1970 by the clock of Redis, which is the same for all workers. A script takes
-- no time, so it asks once.
local moment
local function clock()
  if not moment then
    local time = redis.call('TIME') -- seconds, microseconds
    moment = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return moment
end

-- Gives one of all those who ask the turn at some work.
-- Returns 1 for the one that has it, 0 for the others.
local work = ARGV[1] -- its name
local held = ARGV[2] -- milliseconds for which nobody else gets it

local key = PREFIX .. 'turn:' .. work
local left = redis.call('PTTL', key)
-- Left for longer than anybody holds it: the clock was set back since.
if left > 0 and left <= tonumber(held) then return 0 end
redis.call('SET', key, '', 'PX', held)
return 1

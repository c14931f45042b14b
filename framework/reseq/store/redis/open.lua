-- Takes a shard over, and says what the owner before left.
--
-- KEYS: the shard's hash, the results' hash
-- ARGV: the new owner's epoch, what the names of the lanes' keys begin with, then for each lane its name and the last
-- sequence that was assigned
-- Answers the epoch that is in force. If it is ours, then also the fields of all results, and a name and the greatest
-- sequence that was told for each lane that was there: of all lanes nothing but that is kept. If a lane was told of more
-- than was assigned, nothing is changed, and the answer is the epoch, its name and that sequence.
local shard, results = KEYS[1], KEYS[2]
local ours, prefix = ARGV[1], ARGV[2]

local epoch = redis.call('HGET', shard, 'epoch')
-- Epochs and versions are compared as numbers and sequences never: no double is ever turned into text.
if epoch and tonumber(epoch) > tonumber(ours) then return {epoch} end

for i = 3, #ARGV, 2 do
  local reached = string.match(redis.call('HGET', shard, 'lane:' .. ARGV[i]) or '', ' reached=(%d+) ')
  if reached and tonumber(reached) > tonumber(ARGV[i + 1]) then return {epoch or ours, ARGV[i], reached, ''} end
end

local lanes = {}
local marks = redis.call('HGETALL', shard)
for i = 1, #marks, 2 do
  local name = string.match(marks[i], '^lane:(.+)$')
  if name then
    lanes[#lanes + 1] = name
    lanes[#lanes + 1] = string.match(marks[i + 1], ' reached=(%d+) ') or '0'
    -- The same hash tag, so the same slot of a cluster.
    redis.call('DEL', prefix .. name .. ':pending', prefix .. name .. ':ready')
  end
end
redis.call('DEL', shard)
redis.call('HSET', shard, 'epoch', ours)
for i = 1, #lanes, 2 do
  redis.call('HSET', shard, 'lane:' .. lanes[i], 'epoch=0 version=0 step=0 reached=' .. lanes[i + 1] .. ' released=')
end
return {ours, redis.call('HKEYS', results), lanes}

-- Appends messages to a destination's stream, each once, and remembers the last one.
--
-- KEYS: the stream, the destination's record
-- ARGV: the owner's epoch, the last sequence as the caller knows it ('' for none), then for each message: sequence,
-- position, message id, key, headers, payload
-- Answers the epoch, last sequence and last message that are recorded now ('' for none). A caller whose epoch is older,
-- or whose last sequence is another one, has changed nothing but that its epoch, if it is a later one, is recorded.
local stream, record = KEYS[1], KEYS[2]
local ours, expected = ARGV[1], ARGV[2]

local known = redis.call('HMGET', record, 'epoch', 'last', 'message')
local epoch, last, message = known[1] or '0', known[2] or '', known[3] or ''
-- The record may have been evicted, or deleted; then the stream knows, unless somebody else writes to it.
if last == '' and redis.call('EXISTS', stream) == 1 then
  local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  if newest and (newest[2][1] ~= 'sequence' or newest[2][2] .. '-0' ~= newest[1]) then
    return redis.error_reply('FOREIGN the stream ends with an entry that is not of reseq: name another stream')
  end
  local about = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #about, 2 do
    if about[i] == 'last-generated-id' then last = string.match(about[i + 1], '^(%d+)-') end
  end
  if last == '0' then last = '' end
end

-- Epochs are compared as numbers and sequences never: no double is ever turned into text.
if tonumber(epoch) > tonumber(ours) then return {epoch, last, message} end
if epoch ~= ours then redis.call('HSET', record, 'epoch', ours) end
if last ~= expected or #ARGV == 2 then return {ours, last, message} end

for i = 3, #ARGV, 6 do
  redis.call('XADD', stream, ARGV[i] .. '-0', 'sequence', ARGV[i], 'position', ARGV[i + 1], 'message_id', ARGV[i + 2],
             'key', ARGV[i + 3], 'headers', ARGV[i + 4], 'payload', ARGV[i + 5])
  last, message = ARGV[i], ARGV[i + 2]
end
redis.call('HSET', record, 'last', last, 'message', message)
return {ours, last, message}

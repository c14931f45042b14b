-- Appends messages to a destination's stream, each once, and remembers the last one.
--
-- KEYS: the stream, the destination's record
-- ARGV: the owner's epoch, the last sequence as the caller knows it to be its own ('' for none), its journal, the time
-- as text, 'take' to make a record of another journal its own if that is the last there, too, then for each message:
-- sequence, position, message id, key, headers, payload
-- Answers the epoch, last sequence, last message, journal and time that are recorded now ('' for none). A caller of
-- another journal has changed nothing; nor has one whose last sequence is another one where no journal is recorded. One
-- whose epoch is older, or whose last sequence is another one, has changed nothing but that its epoch, if it is a later
-- one, is recorded.
-- What a call has appended stays when it fails after that: a message whose entry is in the stream already is taken for
-- appended.
local stream, record = KEYS[1], KEYS[2]
local ours, expected = ARGV[1], ARGV[2]

local journal, now, wish = ARGV[3], ARGV[4], ARGV[5]
local first = 6

local known = redis.call('HMGET', record, 'epoch', 'last', 'message', 'journal', 'written', 'length')
local epoch, last, message = known[1] or '0', known[2] or '', known[3] or ''
local whose, written = known[4] or '', known[5] or ''

-- The sequence that the stream has come to, which trimming and deleting entries leaves as it is; '' where there is none.
local function reached()
  if redis.call('EXISTS', stream) == 0 then return '' end
  local about = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #about, 2 do
    local found = about[i] == 'last-generated-id' and string.match(about[i + 1], '^(%d+)-')
    if found then return found ~= '0' and found or '' end
  end
end

-- Record and stream can each be evicted, deleted or restored, and a stream made anew by somebody who reads it. One of
-- as many entries as the last call left is that one still; XINFO would copy two of them. Without the record, or behind
-- it, the stream knows, unless somebody else writes to it.
local is_same = last ~= '' and tonumber(known[6] or '') == redis.call('XLEN', stream)
local has = is_same and last or reached()
if last == '' and has ~= '' or (tonumber(has) or 0) < (tonumber(last) or 0) then
  local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  if newest and (newest[2][1] ~= 'sequence' or newest[2][2] .. '-0' ~= newest[1]) then
    return redis.error_reply('FOREIGN the stream ends with an entry that is not of reseq: name another stream')
  end
  last, message = has, ''
  if newest and newest[1] == last .. '-0' and newest[2][5] == 'message_id' then message = newest[2][6] end
end

if whose ~= journal and (last ~= '' and last ~= expected or whose ~= '' and wish ~= 'take') then
  return {epoch, last, message, whose, written}
end
if whose ~= journal and wish == 'take' then
  redis.call('HSET', record, 'journal', journal, 'written', now)
  whose = journal
end
-- No double is ever turned into text.
if tonumber(epoch) > tonumber(ours) then return {epoch, last, message, whose, written} end
local appends = #ARGV >= first
-- Before anything is appended, so that a user who may not write the record appends nothing.
if appends or whose == '' then
  redis.call('HSET', record, 'epoch', ours, 'journal', journal, 'written', now)
  whose = journal
elseif epoch ~= ours then
  redis.call('HSET', record, 'epoch', ours, 'written', now)
end
if last ~= expected or not appends then return {ours, last, message, whose, now} end

-- Whether the stream has the message at ARGV[i] already.
local function is_there(i)
  local id = ARGV[i] .. '-0'
  local found = redis.pcall('XRANGE', stream, id, id)
  local fields = not found.err and found[1] and found[1][2] or {}
  return fields[1] == 'sequence' and fields[4] == ARGV[i + 1] and fields[6] == ARGV[i + 2]
end

local failed
for i = first, #ARGV, 6 do
  local added = redis.pcall('XADD', stream, ARGV[i] .. '-0', 'sequence', ARGV[i], 'position', ARGV[i + 1],
                            'message_id', ARGV[i + 2], 'key', ARGV[i + 3], 'headers', ARGV[i + 4],
                            'payload', ARGV[i + 5])
  if type(added) == 'table' and added.err and not is_there(i) then
    failed = added
    break
  end
  last, message = ARGV[i], ARGV[i + 2]
end
if last ~= expected then
  redis.call('HSET', record, 'last', last, 'message', message, 'length', redis.call('XLEN', stream))
end
if failed and string.find(failed.err, 'equal or smaller', 1, true) then
  local ends = (last == '' and '0' or last) .. '-0'
  local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  -- From 7.2 on, no stream goes back before what was deleted.
  local goes_back = (redis.REDIS_VERSION_NUM or 0) < 0x070200
  return redis.error_reply('FOREIGN somebody else wrote behind ' .. ends .. (newest and ', ' .. newest[1] or '') ..
                           ': name another stream' ..
                           (goes_back and ', or XDEL what is behind and then XSETID the stream to ' .. ends or ''))
end
return failed or {ours, last, message, whose, now}

-- Does what the owner says in one batch: results first, then each lane's step, then the release of its head run.
--
-- KEYS: the shard's hash, the results' hash, then of each lane its sorted sets `pending` and `ready`
-- ARGV: the owner's epoch, the number of lanes, their fields in the shard's hash;
--       whether to forget all results (0 or 1), the number of results to store, of each its field and value;
--       the number of results to delete, their fields;
--       of each lane: version, step, whether it releases (0 or 1), the last sequence that is assigned, how many it
--       admits, makes ready and settles, and those sequences, each kind ascending, none twice.
-- Answers the epoch that is in force and, if it is ours, how many results there are, and of each lane: what it released
-- ("17-20 23", or false if its version or step is another one and nothing was changed), how many are pending and ready.
--
-- A sequence is the member, as text, and its own score. Scores are never read back: 1e14 would print as "1e+14".
local shard, results = KEYS[1], KEYS[2]
local most = 3000 -- arguments to one call; Lua's stack ends at 8000

local at = 0
local function take()
  at = at + 1
  return ARGV[at]
end

-- The next `count` arguments to one command, in pieces.
local function pass(command, key, count)
  for from = at + 1, at + count, most do
    redis.call(command, key, unpack(ARGV, from, math.min(from + most - 1, at + count)))
  end
  at = at + count
end

-- Arguments, which are sequences, into a sorted set.
local function add(key, first, last)
  for from = first, last, most / 2 do
    local scored = {}
    for i = from, math.min(from + most / 2 - 1, last) do
      scored[#scored + 1] = ARGV[i]
      scored[#scored + 1] = ARGV[i]
    end
    redis.call('ZADD', key, unpack(scored))
  end
end

-- Takes the run that `pending` begins with and that has a result, in `ready` or among the next `count` sequences, out
-- of both sets; those of the next `count` that have to wait go to `ready`. (Most are released in the call that brings
-- them, and are never there.) A result of what is not pending stops the run. As text, with neighbours as "first-last".
local function release(pending, ready, count)
  local came, last_came = at + 1, at + count
  at = last_came
  local any_ready = redis.call('ZCARD', ready) > 0
  if count == 0 and not any_ready then return '' end

  local runs, first, last, follows = {}, nil, nil, nil
  local function close()
    if first then runs[#runs + 1] = first == last and first or first .. '-' .. last end
  end
  local length, were_ready = 0, 0
  local look = math.min(math.max(8, count + 1), 1000) -- what is ready may be long, and its head far away
  while true do
    local waiting = redis.call('ZRANGE', pending, length, length + look - 1)
    local done = any_ready and redis.call('ZRANGE', ready, were_ready, were_ready + look - 1) or {}
    local same, were = 0, 0
    while waiting[same + 1] do
      local seq, was, is = waiting[same + 1], done[were + 1], came <= last_came and ARGV[came]
      local value = tonumber(seq)
      if was ~= seq and is ~= seq then break end
      if was and tonumber(was) < value or is and tonumber(is) < value then break end
      if was == seq then were = were + 1 end
      if is == seq then came = came + 1 end
      if value ~= follows then
        close()
        first = seq
      end
      last, follows, same = seq, value + 1, same + 1
    end
    length, were_ready = length + same, were_ready + were
    if same < look then break end
    look = math.min(look * 8, 1000)
  end
  close()
  if length > 0 then redis.call('ZREMRANGEBYRANK', pending, 0, length - 1) end
  if were_ready > 0 then redis.call('ZREMRANGEBYRANK', ready, 0, were_ready - 1) end
  add(ready, came, last_came)
  return table.concat(runs, ' ')
end

local ours = take()
local lanes = tonumber(take())
local fields = at
at = at + lanes

local marks = redis.call('HMGET', shard, 'epoch', unpack(ARGV, fields + 1, fields + lanes))
local epoch = table.remove(marks, 1)
if epoch and tonumber(epoch) > tonumber(ours) then return {epoch} end
if epoch ~= ours then redis.call('HSET', shard, 'epoch', ours) end -- an earlier one's, brought back; or all is lost

if take() == '1' then redis.call('DEL', results) end
pass('HSET', results, 2 * tonumber(take()))
pass('HDEL', results, tonumber(take()))

local answer = {ours, 0}
local changed = {}
for lane = 1, lanes do
  local pending, ready = KEYS[2 * lane + 1], KEYS[2 * lane + 2]
  local version, step, releases, reached = take(), take(), take() == '1', take()
  local admitted, finished, settled = tonumber(take()), tonumber(take()), tonumber(take())

  local owner, was, stood, before, released = nil, nil, nil, '0', nil
  if marks[lane] then
    owner, was, stood, before, released =
      string.match(marks[lane], '^epoch=(%d+) version=(%d+) step=(%d+) reached=(%d+) released=(.*)$')
  end
  if owner ~= ours then was, stood = nil, nil end
  local again = was == version and stood == step
  local anew = step == '1' and (not was or tonumber(version) > tonumber(was))
  local follows = was == version and tonumber(step) == tonumber(stood) + 1
  if anew or follows then
    if anew then redis.call('DEL', pending, ready) end
    add(pending, at + 1, at + admitted)
    at = at + admitted
    released = ''
    if not releases or settled > 0 then
      add(ready, at + 1, at + finished)
      at = at + finished
      finished = 0
      local here = at
      pass('ZREM', pending, settled)
      at = here
      pass('ZREM', ready, settled)
    end
    if releases then released = release(pending, ready, finished) end
    if tonumber(reached) < tonumber(before or '0') then reached = before end
    changed[#changed + 1] = ARGV[fields + lane]
    changed[#changed + 1] = 'epoch=' .. ours .. ' version=' .. version .. ' step=' .. step .. ' reached=' .. reached ..
      ' released=' .. released
  else
    at = at + admitted + finished + settled
    if not again then released = false end
  end
  answer[#answer + 1] = released
  answer[#answer + 1] = released and redis.call('ZCARD', pending) or 0
  answer[#answer + 1] = released and redis.call('ZCARD', ready) or 0
end
if #changed > 0 then redis.call('HSET', shard, unpack(changed)) end
answer[2] = redis.call('HLEN', results)
return answer

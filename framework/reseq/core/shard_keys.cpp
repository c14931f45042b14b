// Destinations with order by key: how messages get into their windows and out to the receivers.
#include <algorithm>
#include <utility>

#include "reseq/core/shard_state.hpp"

namespace reseq::core {

key_lane::fate shard::state::offer(shard_target& t, position at, const message_ptr& message, time_point now) {
  auto& lane = t.keys->window;
  const auto seq = lane.next();
  const auto as = t.held.contains(seq) ? slot_state::held : slot_state::pending;
  const auto fate = lane.offer(as, at, message, message->size_bytes(), now);
  if (fate == key_lane::fate::enters) entered(t, seq, as, now);
  return fate;
}

void shard::state::entered(shard_target& t, sequence seq, slot_state as, time_point now) {
  if (outside) outside->admitted(t.id, seq);
  if (as == slot_state::pending) want(t, seq, *t.keys->window.find(seq), now);
}

void shard::state::take_key_backlog(shard_target& t, const std::vector<backlog_item>& items, time_point now) {
  const auto& lane = t.keys->window;
  if (items.empty() || items.front().seq > lane.next()) {
    t.reads.failed(now); // asked again at once, it would say the same
    return;
  }
  t.reads.worked();
  for (const auto& item : items) {
    t.last = std::max(t.last, item.seq);
    if (item.seq != lane.next()) continue; // the acceptance of it came first, or it is settled
    if (offer(t, item.at, item.message, now) == key_lane::fate::waits) return;
  }
}

void shard::state::take_searched(shard_target& t, const key_backlog& found, time_point now) {
  auto& lane = t.keys->window;
  if (!lane.searched_any(found.searched)) {
    lane.read_failed();
    t.reads.failed(now);
    return;
  }
  t.reads.worked();
  for (const auto& [seq, at, message] : found.items) {
    const auto as = t.held.contains(seq) ? slot_state::held : slot_state::pending;
    const auto fate = lane.found(seq, as, at, message, message->size_bytes(), now);
    if (fate == key_lane::fate::enters) entered(t, seq, as, now);
  }
  lane.searched(found.searched);
}

void shard::state::answered_by_key(shard_target& t, request_id request, const receiver_answer& answer, time_point now,
                                   wall_time wall) {
  const auto read = t.keys->delivery.answer(request, answer, now, t.keys->window);
  if (read.verdict == delivery_verdict::late) {
    ++counters.late_answers;
    return;
  }
  --requests_under_way;
  if (const auto* old = std::get_if<stale>(&answer); old != nullptr && old->seen > ours) out.check_epoch = true;
  if (read.verdict == delivery_verdict::delivered)
    for (const auto seq : read.messages) settle(t, seq, true, now);
  if (read.verdict == delivery_verdict::refused) refused_by(t, read.messages.front(), answer, now, wall);
  if (t.book.paused()) answer_pauses(t);
  touch(t);
  settle_down(now);
}

void shard::state::settle_down_by_key(shard_target& t, time_point now) {
  auto& lane = t.keys->window;
  lane.let_park(!draining && !t.book.paused() && !t.keys->delivery.away());
  make_room(t, now);
  heads.clear();
  lane.take_heads(heads);
  for (const auto seq : heads) out.heads.push_back({lane.find(seq)->at, t.chain});
  heads.clear();
  lane.take_holding(heads);
  for (const auto seq : heads) out.holding.push_back({lane.find(seq)->at, t.chain});
  send_by_key(t, now);
  read_by_key(t, now);
  if (lane.starves()) {
    make_room(t, now);
    read_by_key(t, now);
  }
  if (lane.take_unparked()) progress_changed(t);
  plan_wakeup(t, now);
  count_memory(t);
}

void shard::state::make_room(shard_target& t, time_point now) {
  left.clear();
  t.keys->window.make_room(t.end(), now, left);
  for (const auto& [seq, at, uses_job] : left) {
    if (outside) outside->settled(t.id, seq);
    if (uses_job && release_job({at, t.chain}, {index_of(t), seq})) withdraw({at, t.chain});
  }
}

/// What was asked for since the last `take` nobody has heard of.
void shard::state::withdraw(work_key what) {
  const auto unheard = std::erase_if(
    out.work, [&](const work_request& asked) { return asked.at == what.at && asked.chain == what.chain; });
  if (unheard == 0) out.withdrawn.push_back(what);
}

void shard::state::send_by_key(shard_target& t, time_point now) {
  auto& [lane, delivery, search_next] = *t.keys;
  lane.end_rests(now);
  if (draining || diverged || t.book.paused()) return;
  for (auto may = delivery.allowance(now); may.count > 0; may = delivery.allowance(now)) {
    released.clear();
    lane.release(may, now, released);
    if (released.empty()) return;
    if (!released.front().first_time) ++t.redelivered;
    std::vector<sequence> carried;
    send_request request{t.id, {}, {}};
    for (const auto& [seq, first_time, overhead] : released) {
      const auto& slot = *lane.find(seq);
      request.items.push_back({seq, std::nullopt, slot.at, slot.message, slot.body, slot.deliveries});
      carried.push_back(seq);
      if (!first_time) continue;
      out.release_overheads.push_back(overhead);
      ++counters.released;
    }
    request.id = delivery.start(may, std::move(carried), lane, now);
    out.sends.push_back(std::move(request));
    ++requests_under_way;
  }
}

/// What comes next and what parked keys have outside take turns.
void shard::state::read_by_key(shard_target& t, time_point now) {
  if (t.reading || diverged || (t.reads.until() && now < *t.reads.until())) return;
  auto& keyed = *t.keys;
  const bool search_first = keyed.search_next;
  const bool asked = search_first ? search_keys(t) || read_next(t) : read_next(t) || search_keys(t);
  if (!asked) return filled(t);
  keyed.search_next = !search_first;
  t.reads.elapsed();
  t.reading = true;
}

bool shard::state::read_next(shard_target& t) {
  const auto& lane = t.keys->window;
  const auto wanted = lane.wanted(t.end());
  if (wanted == 0) return false;
  out.reads.push_back({t.id, lane.next(), wanted, lane.wanted_bytes()});
  return true;
}

bool shard::state::search_keys(shard_target& t) {
  auto wanted = t.keys->window.catch_up(t.end());
  if (wanted.keys.empty()) return false;
  out.reads.push_back({t.id, {}, wanted.max_messages, wanted.max_bytes, std::move(wanted.keys), wanted.until});
  return true;
}

} // namespace reseq::core

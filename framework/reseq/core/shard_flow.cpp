// How messages get into the windows and out to the receivers.
#include <algorithm>
#include <utility>

#include "reseq/core/shard_state.hpp"

namespace reseq::core {

const shard_target* shard::state::find(destination_id id) const {
  const auto slot = id.value();
  return slot < by_id.size() && by_id[slot] > 0 ? &targets[by_id[slot] - 1] : nullptr;
}

shard_target* shard::state::find(destination_id id) { return const_cast<shard_target*>(std::as_const(*this).find(id)); }

std::uint32_t shard::state::index_of(const shard_target& t) const {
  return static_cast<std::uint32_t>(&t - targets.data());
}

void shard::state::touch(shard_target& t) {
  if (std::exchange(t.touched, true)) return;
  touched.push_back(index_of(t));
}

void shard::state::admit(shard_target& t, position at, const message_ptr& message, std::uint64_t bytes_each,
                         time_point now) {
  const auto seq = t.window.next();
  t.next_bytes = 0;
  if (!t.held.empty() && t.held.contains(seq)) {
    t.window.admit(slot_state::held, at, message, bytes_each, now);
    if (outside) outside->admitted(t.id, seq);
  } else {
    auto& slot = t.window.admit(slot_state::pending, at, message, bytes_each, now);
    if (outside) outside->admitted(t.id, seq);
    want(t, seq, slot, now);
  }
  skip_settled(t, now);
}

void shard::state::want(shard_target& t, sequence seq, lane_slot& slot, time_point now) {
  const work_key key{slot.at, t.chain};
  const bool head = t.is_head(seq);
  const bool anew = !t.retried.empty() && t.retried.erase(seq) > 0;
  slot.uses_job = true;
  const auto found = jobs.want(key, {index_of(t), seq});
  if (found.known) {
    const auto& to = found.known->only_to;
    const bool meant = !to || std::ranges::find(*to, t.id) != to->end();
    take_result(t, seq, meant ? found.known->body : nullptr, now);
    return;
  }
  if (found.ask)
    out.work.push_back({slot.at, t.chain, slot.message, head, *found.ask});
  else if (anew)
    ask_anew(t, slot);
  else if (head)
    out.heads.push_back({slot.at, t.chain});
  if (head) t.announced = seq;
}

/// What other lanes have waited for may have used up its attempts: as a head it would be given up at once.
void shard::state::ask_anew(shard_target& t, const lane_slot& slot) {
  const work_key key{slot.at, t.chain};
  bool head = false;
  for (const auto& [lane, seq] : jobs.waiting(key)) {
    auto& other = targets[lane];
    head = head || other.is_head(seq);
    if (other.holding == seq) other.holding = {}; // whoever works on it from now on was not told
    touch(other);
  }
  withdraw(key);
  out.work.push_back({slot.at, t.chain, slot.message, head, jobs.ask_again(key)});
}

void shard::state::skip_settled(shard_target& t, time_point now) {
  while (t.book.is_settled(t.window.next())) {
    t.window.admit_settled(now);
    t.next_bytes = 0;
  }
}

/// In a window whose messages are all settled and saved, so that it never spans what is lost, however much that is.
bool shard::state::is_at_lost(const shard_target& t) const {
  if (t.lost.empty()) return false;
  const auto first = t.lost.front().first;
  if (t.keys) return t.keys->window.next() == first && t.keys->window.reached() + 1 == first;
  return t.window.next() == first && t.window.empty() && (!outside || outside->is_clear(t.id));
}

void shard::state::pass_lost(shard_target& t, time_point now) {
  while (is_at_lost(t)) {
    const auto& range = t.lost.front();
    if (t.keys) {
      t.keys->window.pass(range);
    } else {
      t.book.pass(range);
      t.window.skip_to(range.last + 1, now);
    }
    t.lost.erase(t.lost.begin());
    t.next_bytes = 0;
    progress_changed(t);
  }
  if (t.lost.empty()) std::erase(losing, index_of(t));
}

void shard::state::take_backlog(shard_target& t, const std::vector<backlog_item>& items, time_point now) {
  if (items.empty() || items.front().seq > t.window.next()) {
    t.reads.failed(now); // asked again at once, it would say the same
    return;
  }
  t.reads.worked();
  for (const auto& item : items) {
    t.last = std::max(t.last, item.seq);
    if (item.seq != t.window.next()) continue; // the acceptance of it came first, or it is settled
    const auto size = item.message->size_bytes();
    if (!t.window.fits(size)) {
      t.next_bytes = size;
      return;
    }
    admit(t, item.at, item.message, size, now);
  }
}

void shard::state::settle_down(time_point now) {
  for (const auto index : losing) touch(targets[index]);
  settle_touched(now);
  if (!outside || diverged) return;
  for (const auto id : outside->take(out, now)) touch(*find(id));
  settle_touched(now);
}

/// Results of an earlier owner that nobody has wanted when every window is full, nobody will.
void shard::state::filled(shard_target& t) {
  if (!std::exchange(t.filled, true) && --unfilled == 0 && outside) outside->filled();
}

void shard::state::settle_touched(time_point now) {
  for (std::size_t i = 0; i < touched.size(); ++i) {
    auto& t = targets[touched[i]];
    t.touched = false;
    if (!t.lost.empty()) pass_lost(t, now);
    if (t.keys) {
      settle_down_by_key(t, now);
      continue;
    }
    announce_head(t);
    announce_holding(t);
    send(t, now);
    read(t, now);
    plan_wakeup(t, now);
    count_memory(t);
  }
  touched.clear();
}

void shard::state::announce_head(shard_target& t) {
  const auto head = t.window.head();
  if (head == t.announced || head == t.window.next()) return;
  const auto& slot = *t.window.find(head);
  if (slot.state != slot_state::pending) return;
  t.announced = head;
  out.heads.push_back({slot.at, t.chain});
}

void shard::state::announce_holding(shard_target& t) {
  const auto head = t.window.head();
  if (t.window.ready() == 0 || head == t.holding || head != t.announced) return;
  const auto* slot = t.window.find(head);
  if (slot == nullptr || slot->state != slot_state::pending) return;
  t.holding = head;
  out.holding.push_back({slot->at, t.chain});
}

void shard::state::send(shard_target& t, time_point now) {
  if (draining || diverged || t.book.paused() || !t.delivery.may_start(now)) return;
  released.clear();
  t.window.release(t.delivery.next_size(), outside ? outside->limit(t.id) : greatest_sequence, t.book, now, released);
  if (released.empty()) return;
  if (!released.front().first_time) ++t.redelivered;

  send_request request{t.id, t.delivery.start(released.size(), now), {}};
  request.items.reserve(released.size());
  auto previous = t.book.last_delivered();
  for (const auto& [seq, first_time, overhead] : released) {
    const auto& slot = *t.window.find(seq);
    request.items.push_back({seq, previous, slot.at, slot.message, slot.body, slot.deliveries});
    previous = seq;
    if (!first_time) continue;
    out.release_overheads.push_back(overhead);
    ++counters.released;
  }
  out.sends.push_back(std::move(request));
  ++requests_under_way;
}

void shard::state::read(shard_target& t, time_point now) {
  if (t.reading || diverged) return;
  if (t.window.next() > t.end()) return filled(t);
  if (t.reads.until() && now < *t.reads.until()) return;
  if (!t.window.has_room() || !t.window.fits(t.next_bytes)) return filled(t);
  t.reads.elapsed();
  t.reading = true;
  out.reads.push_back({t.id, t.window.next(), t.window.free_messages(), t.window.free_bytes()});
}

void shard::state::plan_wakeup(shard_target& t, time_point now) {
  std::optional<time_point> due;
  const auto consider = [&](std::optional<time_point> when) {
    const bool ahead = when && *when > now; // else it waits for something other than time
    if (ahead && (!due || *when < *due)) due = when;
  };
  consider(t.reads.until());
  if (t.keys) {
    consider(t.keys->delivery.not_before());
    consider(t.keys->window.next_rest_ends());
    consider(t.keys->window.look_again_at());
  } else {
    consider(t.delivery.not_before());
  }
  if (due == t.wakeup) return;
  if (t.wakeup) wakeups.erase({*t.wakeup, index_of(t)});
  if (due) wakeups.emplace(*due, index_of(t));
  t.wakeup = due;
}

void shard::state::count_memory(shard_target& t) {
  const auto messages_now = t.keys ? t.keys->window.messages() : t.window.messages();
  const auto bytes_now = t.keys ? t.keys->window.bytes() : t.window.bytes();
  messages += messages_now - std::exchange(t.counted_messages, messages_now);
  bytes += bytes_now - std::exchange(t.counted_bytes, bytes_now);
}

} // namespace reseq::core

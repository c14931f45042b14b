// What of a destination with order by key may go to its receiver.
#include <algorithm>

#include "reseq/core/key_lane.hpp"

namespace reseq::core {

/// Puts a key where it belongs: among those that may go, or nowhere.
void key_lane::requeue(slot k) {
  unqueue(k);
  auto& key = keys_[k];
  if (key.head == none || key.barrier > 0 || key.rests_until) return;
  const auto& head = entries_[key.head];
  if (head.what.state != slot_state::ready) return;
  key.waits_in = head.handed ? queue::again : queue::fresh;
  auto& waiting = head.handed ? again_ : fresh_;
  waiting.push(head.seq.value(), k, [this](slot which) -> std::uint32_t& { return keys_[which].place; });
}

void key_lane::unqueue(slot k) {
  auto& key = keys_[k];
  const auto place = [this](slot which) -> std::uint32_t& { return keys_[which].place; };
  if (key.waits_in == queue::fresh) fresh_.erase(key.place, place);
  if (key.waits_in == queue::again) again_.erase(key.place, place);
  key.waits_in = queue::none;
}

key_lane::slot key_lane::pick(const key_release& what) const {
  if (unsaved_ >= limits_.max_unsaved) return none;
  const bool fresh = what.first_time && !fresh_.empty();
  const bool again = what.again && !again_.empty();
  if (fresh && again) return fresh_.top_key() < again_.top_key() ? fresh_.top() : again_.top();
  if (fresh) return fresh_.top();
  return again ? again_.top() : none;
}

/// Drawn, and not the oldest: keys that fail are often the oldest, and there may be many.
key_lane::slot key_lane::least_failed(std::uint64_t draw) const {
  if (unsaved_ >= limits_.max_unsaved) return none;
  std::vector<slot> best;
  for (const auto k : listed_) {
    if (keys_[k].waits_in == queue::none) continue;
    if (!best.empty() && keys_[k].trouble.failures < keys_[best.front()].trouble.failures) best.clear();
    if (best.empty() || keys_[k].trouble.failures == keys_[best.front()].trouble.failures) best.push_back(k);
  }
  return best.empty() ? none : best[draw % best.size()];
}

void key_lane::release(const key_release& what, time_point now, std::vector<released_slot>& out) {
  const auto first = static_cast<std::ptrdiff_t>(out.size());
  auto room = what.count;
  std::vector<slot> put_off;
  while (room > 0 && barrier_ == 0) {
    const auto k = what.probe ? least_failed(what.draw) : pick(what);
    if (k == none) break;
    unqueue(k);
    const bool alone = what.probe || keys_[k].trouble.alone || keys_[k].trouble.singly > 0;
    if (alone && room < what.count) {
      put_off.push_back(k);
      continue;
    }
    room -= take(k, room, now, out);
    if (alone) break;
  }
  for (const auto k : put_off) requeue(k);
  std::ranges::sort(out.begin() + first, out.end(), {}, &released_slot::seq);
}

std::size_t key_lane::take(slot k, std::size_t most, time_point now, std::vector<released_slot>& out) {
  auto& key = keys_[k];
  if (key.trouble.singly > 0) most = 1;
  std::size_t taken = 0;
  std::uint64_t taken_bytes = 0;
  for (auto at = key.head; at != none && taken < most; at = entries_[at].after) {
    auto& e = entries_[at];
    if (e.what.state == slot_state::settled && e.durable) continue;
    if (e.what.state != slot_state::ready) break;
    const bool first_time = !e.handed;
    if (unsaved_ >= limits_.max_unsaved || (first_time && key.trouble.alone && taken > 0)) break;
    taken_bytes += e.what.bytes;
    const auto most_bytes = std::min(limits_.window_bytes / 16, most_request_bytes);
    if (first_time && taken > 0 && taken_bytes > most_bytes) break; // see `release`
    if (!std::exchange(e.handed, true)) ++key.handed;
    if (!std::exchange(e.unsaved, true)) ++unsaved_;
    change(e, slot_state::sent);
    key.latest_finish = std::max(key.latest_finish, e.what.finished);
    out.push_back({e.seq, e.what.count_delivery(), now - key.latest_finish});
    ++taken;
  }
  return taken;
}

void key_lane::take_back(std::span<const sequence> messages) {
  for (const auto seq : messages) {
    const auto at = find_entry(seq);
    if (at == none || entries_[at].what.state != slot_state::sent) continue;
    change(entries_[at], slot_state::ready);
    stop_counting(entries_[at]); // it goes again, crash or no crash
    requeue(entries_[at].key);
  }
  nothing_to_evict_until_.reset();
}

void key_lane::rest(sequence seq, time_point until) {
  const auto k = entries_[find_entry(seq)].key;
  auto& key = keys_[k];
  if (key.rests_until) resting_.erase({*key.rests_until, k});
  key.rests_until = until;
  resting_.emplace(until, k);
  requeue(k);
}

void key_lane::end_rests(time_point now) {
  while (!resting_.empty() && resting_.begin()->first <= now) {
    const auto k = resting_.begin()->second;
    resting_.erase(resting_.begin());
    keys_[k].rests_until.reset();
    requeue(k);
  }
}

void key_lane::forgive() {
  end_rests(time_point::max());
  for (const auto k : listed_) keys_[k].trouble.failures = std::min(keys_[k].trouble.failures, 1U);
}

} // namespace reseq::core

#include "reseq/core/key_lane.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace reseq::core {

key_lane::key_lane(const key_lane_limits& limits, const progress_record& saved, std::span<const parked_record> parked,
                   time_point now)
  : limits_(limits.lane), max_blocked_keys_(limits.max_blocked_keys), progress_(saved) {
  limits_.window = std::max(limits_.window, 1U);
  limits_.max_unsaved = std::max(limits_.max_unsaved, 1U);
  share_ = std::max(limits_.window / 16, 1U);
  recovered_ = progress_.reached();
  for (const auto& record : parked) {
    const auto k = know(record.key);
    auto& key = keys_[k];
    key.passed = recovered_;
    key.head_since = now;
    set_from(k, record.from);
  }
  unsaved_parking_.clear();
  saved_watermark_ = progress_.watermark(parked_.empty() ? sequence{} : parked_.begin()->first);
  saved_messages_ = progress_.settled();
  next_ = saved_watermark_;
  advance_next();
}

// Keys.

key_lane::slot key_lane::find_key(std::string_view key) const {
  return key_index_.find(std::hash<std::string_view>{}(key), [&](slot k) { return keys_[k].key == key; });
}

key_lane::slot key_lane::know(const std::string& key) {
  if (const auto known = find_key(key); known != none) return known;
  const auto k = keys_.add();
  keys_[k] = {};
  keys_[k].key = key;
  keys_[k].listed = static_cast<std::uint32_t>(listed_.size());
  listed_.push_back(k);
  key_index_.insert(std::hash<std::string_view>{}(key), k);
  return k;
}

void key_lane::forget_if_idle(slot k) {
  auto& key = keys_[k];
  if (key.kept > 0 || key.from != sequence{}) return;
  if (key.rests_until) resting_.erase({*key.rests_until, k});
  key_index_.erase(std::hash<std::string_view>{}(key.key), k);
  listed_[key.listed] = listed_.back();
  keys_[listed_[key.listed]].listed = key.listed;
  listed_.pop_back();
  key = {};
  keys_.remove(k);
}

key_lane::key_state& key_lane::key_of(sequence seq) { return keys_[entries_[find_entry(seq)].key]; }

// Entries.

key_lane::slot key_lane::find_entry(sequence seq) const { return entry_index_.find(seq.value()); }

const lane_slot* key_lane::find(sequence seq) const {
  const auto e = find_entry(seq);
  return e == none ? nullptr : &entries_[e].what;
}

lane_slot* key_lane::find(sequence seq) {
  const auto e = find_entry(seq);
  return e == none ? nullptr : &entries_[e].what;
}

bool key_lane::is_head(sequence seq) const {
  const auto e = find_entry(seq);
  return e != none && keys_[entries_[e].key].head == e;
}

bool key_lane::is_behind_unfinished(sequence seq) const {
  const auto head = keys_[entries_[find_entry(seq)].key].head;
  if (head == none || entries_[head].seq >= seq) return false;
  const auto state = entries_[head].what.state;
  return state == slot_state::pending || state == slot_state::held;
}

lane_slot& key_lane::enter(slot k, sequence seq, slot_state state, position at, const message_ptr& message,
                           std::uint64_t bytes, time_point now) {
  const auto e = entries_.add();
  auto& key = keys_[k];
  auto& made = entries_[e] = {};
  made.seq = seq;
  made.key = k;
  made.before = key.last;
  (key.last == none ? key.first : entries_[key.last].after) = e;
  key.last = e;
  if (key.head == none) {
    key.head = e;
    key.head_since = now;
    key.stalled = false;
  }
  if (state == slot_state::held) key.held = true;
  entry_index_.at(seq.value()) = e;
  progress_.enter(seq);

  made.what.message = message;
  made.what.at = at;
  made.what.charge(bytes);
  made.what.state = state;
  if (auto* count = count_of(state)) ++*count;
  ++key.kept;
  ++key.unsettled;
  ++kept_;
  ++unsettled_;
  bytes_ += bytes;
  list_catching(k);
  return made.what;
}

/// What was settled before a restart, or before its key was parked, behind a head that was not and is not.
void key_lane::append_settled(slot k, sequence seq) {
  const auto e = entries_.add();
  auto& key = keys_[k];
  auto& made = entries_[e] = {};
  made.seq = seq;
  made.key = k;
  made.what.state = slot_state::settled;
  made.durable = true;
  made.before = key.last;
  entries_[key.last].after = e;
  key.last = e;
  entry_index_.at(seq.value()) = e;
  ++key.kept;
  ++kept_;
  ++behind_;
}

void key_lane::remove(slot e) {
  auto& gone = entries_[e];
  if (gone.key != none) {
    auto& key = keys_[gone.key];
    (gone.before == none ? key.first : entries_[gone.before].after) = gone.after;
    (gone.after == none ? key.last : entries_[gone.after].before) = gone.before;
    --key.kept;
  }
  entry_index_.erase(gone.seq.value());
  --kept_;
  gone = {};
  entries_.remove(e);
}

void key_lane::change(entry& e, slot_state to) {
  auto& key = keys_[e.key];
  if (e.what.state == slot_state::ready) --key.ready;
  if (to == slot_state::ready) ++key.ready;
  if (auto* count = count_of(e.what.state)) --*count;
  e.what.state = to;
  if (auto* count = count_of(to)) ++*count;
}

std::uint64_t* key_lane::count_of(slot_state state) {
  switch (state) {
  case slot_state::pending: return &pending_;
  case slot_state::ready:
  case slot_state::sent: return &ready_;
  case slot_state::held:
  case slot_state::settled: break;
  }
  return nullptr;
}

void key_lane::advance_head(slot k, time_point now) {
  auto& key = keys_[k];
  const auto before = key.head;
  while (key.head != none && entries_[key.head].what.state == slot_state::settled) {
    const auto e = key.head;
    auto& gone = entries_[e];
    key.head = gone.after;
    key.latest_finish = std::max(key.latest_finish, gone.what.finished);
    gone.passed = true;
    if (progress_.take_kept(gone.seq)) --behind_;
    if (gone.durable)
      remove(e);
    else if (!gone.delivered)
      ++key.barrier;
  }
  if (key.head == before) return;
  key.head_since = now;
  key.stalled = false;
  key.held = false;
  moved_.push_back(k);
  if (key.ready > 0) holding_.push_back(k);
}

void key_lane::take_heads(std::vector<sequence>& out) {
  for (const auto k : std::exchange(moved_, {})) {
    if (keys_[k].head == none) continue;
    auto& head = entries_[keys_[k].head];
    if (head.what.state == slot_state::pending && !std::exchange(head.announced, true)) out.push_back(head.seq);
  }
}

void key_lane::take_holding(std::vector<sequence>& out) {
  for (const auto k : std::exchange(holding_, {})) {
    const auto& key = keys_[k];
    if (key.head == none || key.ready == 0) continue;
    auto& head = entries_[key.head];
    if (head.what.state == slot_state::pending && !std::exchange(head.holding, true)) out.push_back(head.seq);
  }
}

void key_lane::finish(sequence seq, content_ptr body, std::uint64_t body_bytes, time_point now) {
  auto& e = entries_[find_entry(seq)];
  e.what.body = std::move(body);
  e.what.finished = now;
  e.what.charge(body_bytes);
  bytes_ += body_bytes;
  results_.add(body_bytes);
  change(e, slot_state::ready);
  requeue(e.key);
  if (!entries_[keys_[e.key].head].holding) holding_.push_back(e.key);
}

void key_lane::hold(sequence seq) {
  auto& e = entries_[find_entry(seq)];
  change(e, slot_state::held);
  auto& key = keys_[e.key];
  stop_counting(e);
  if (std::exchange(e.handed, false)) --key.handed; // refused, so nothing of it can be delivered again
  key.held = true;
  requeue(e.key);
  list_catching(e.key);
  nothing_to_evict_until_.reset();
}

void key_lane::unhold(sequence seq, time_point now) {
  const auto e = find_entry(seq);
  const auto k = e == none ? parked_at(seq) : entries_[e].key;
  if (k == none) return; // not read yet since the start
  keys_[k].held = false;
  keys_[k].head_since = now;
  if (e != none) {
    auto& s = entries_[e];
    change(s, s.what.body ? slot_state::ready : slot_state::pending);
    s.holding = false; // whoever works on it from now on was not told
    holding_.push_back(k);
    requeue(k);
  }
  list_catching(k);
}

void key_lane::settle(sequence seq, bool delivered, time_point now) {
  const auto at = find_entry(seq);
  if (at == none) {
    settle_outside(seq);
    return;
  }
  auto& e = entries_[at];
  const auto k = e.key;
  auto& key = keys_[k];
  if (e.what.state != slot_state::sent) e.what.finished = now; // the outcome is known only now
  if (e.what.state == slot_state::pending) results_.add(0);
  change(e, slot_state::settled);
  e.delivered = delivered;
  if (e.handed) --key.handed;
  --key.unsettled;
  --unsettled_;
  bytes_ -= e.what.bytes;
  e.what.bytes = 0;
  e.what.message.reset();
  e.what.body.reset();
  progress_.settle(seq);
  undurable_.push_back(at);
  if (key.head == at) {
    advance_head(k, now);
  } else {
    progress_.keep(seq);
    ++behind_;
  }
  requeue(k);
  list_catching(k);
}

// Saving.

void key_lane::begin_save(progress_record& record, std::vector<parked_record>& parked,
                          std::vector<journal_change::parked_key>& unparked) {
  progress_.write(record, parked_.empty() ? sequence{} : parked_.begin()->first);
  for (const auto& [key, from] : unsaved_parking_) {
    if (from)
      parked.push_back({record.destination, key, *from});
    else
      unparked.push_back({record.destination, key});
  }
  saving_parking_ = std::exchange(unsaved_parking_, {});
  saving_ = undurable_.size();
  saving_watermark_ = record.watermark;
  saving_messages_ = record.settled;
}

void key_lane::saved() {
  for (; saving_ > 0; --saving_) {
    const auto at = undurable_.front();
    undurable_.pop_front();
    auto& e = entries_[at];
    e.durable = true;
    stop_counting(e);
    if (!e.passed) continue;
    const auto k = e.key;
    if (!e.delivered) --(k == none ? barrier_ : keys_[k].barrier);
    remove(at);
    if (k == none) continue;
    requeue(k);
    forget_if_idle(k);
  }
  saving_parking_.clear();
  saved_watermark_ = saving_watermark_;
  saved_messages_ = saving_messages_;
}

void key_lane::save_failed() {
  saving_ = 0;
  unsaved_parking_.merge(saving_parking_); // a later word stays
  saving_parking_.clear();
}

// For people and timers.

std::optional<time_point> key_lane::next_rest_ends() const {
  if (resting_.empty()) return std::nullopt;
  return resting_.begin()->first;
}

bool key_lane::is_settled(sequence seq, std::string_view key) const {
  if (seq > progress_.reached() || progress_.is_open(seq)) return false;
  const auto k = find_key(key);
  return k == none || !is_outside(keys_[k], seq) || progress_.is_kept(seq);
}

std::vector<blocked_key> key_lane::oldest(std::size_t most) const {
  std::vector<blocked_key> all;
  for (const auto k : listed_) {
    const auto& key = keys_[k];
    if (key.head == none && key.from == sequence{}) continue;
    const auto head = key.head == none ? key.from : entries_[key.head].seq;
    all.push_back({key.key, head, key.head != none, key.held, key.head_since, 0, key.barrier > 0, key.rests_until,
                   key.trouble.last_error});
  }
  const auto kept = std::min(most, all.size());
  std::ranges::partial_sort(all, all.begin() + static_cast<std::ptrdiff_t>(kept), {}, &blocked_key::head);
  all.resize(kept);
  for (auto& shown : all) {
    const auto head = shown.inside ? find_entry(shown.head) : none;
    for (auto e = head == none ? none : entries_[head].after; e != none; e = entries_[e].after)
      if (entries_[e].what.state == slot_state::ready) ++shown.ready_behind;
  }
  return all;
}

} // namespace reseq::core

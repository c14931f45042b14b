// How messages get into the window of a destination with order by key, and what leaves it again when it is full.
#include <algorithm>
#include <functional>
#include <utility>

#include "reseq/core/key_lane.hpp"

namespace reseq::core {
namespace {

/// How long a head may stand before those behind it make room for other keys.
constexpr duration patience = std::chrono::seconds{1};
/// How many keys one read may look for.
constexpr std::size_t most_keys_a_read = 64;

} // namespace

std::uint32_t key_lane::free_messages() const {
  const auto most_kept = std::uint64_t{limits_.window} + limits_.max_unsaved;
  const auto pending = std::min<std::uint64_t>(pending_, results_.most_pending());
  if (unsettled_ >= limits_.window || kept_ >= most_kept) return 0;
  return static_cast<std::uint32_t>(
    std::min({limits_.window - unsettled_, most_kept - kept_, results_.most_pending() - pending}));
}

/// A sixteenth of the window is free, or all of it: reading is worth while.
bool key_lane::has_share() const {
  return has_room() && (free_messages() >= std::min(share_, results_.most_pending() / 16) || unsettled_ == 0);
}

/// A share is free, or a quarter of what can be when so much is stuck.
bool key_lane::worth_reading() const {
  if (has_share()) return true;
  const auto attainable = limits_.window - std::min(limits_.window, stuck_);
  return has_room() && free_messages() >= std::max(attainable / 4, 1U);
}

/// A parked key that has nothing in the window may bring something in; others leave a share of the room to new ones.
bool key_lane::may_bring(const key_state& k) const { return k.unsettled == 0 || free_messages() > share_; }

bool key_lane::may_park(const key_state& k) const {
  return may_park_ && (k.from != sequence{} || parked_.size() < max_blocked_keys_);
}

bool key_lane::is_outside(const key_state& k, sequence seq) { return k.from != sequence{} && seq >= k.from; }

/// Whether `next()`, a message of that key, stays outside.
bool key_lane::would_pass(slot k) const {
  const auto& key = keys_[k];
  if (is_outside(key, next_)) return true;
  return !has_room() && key.kept > share_ && may_park(key);
}

key_lane::fate key_lane::offer(slot_state state, position at, const message_ptr& message, std::uint64_t bytes,
                               time_point now) {
  const auto known = find_key(message->key());
  if (progress_.is_kept(next_)) { // settled: only those behind its head need to know
    if (known != none && keys_[known].head != none && !is_outside(keys_[known], next_))
      append_settled(known, next_);
    else if (known == none || !is_outside(keys_[known], next_))
      progress_.take_kept(next_);
  } else if (known != none && would_pass(known)) {
    pass(known, next_);
  } else if (!has_room()) {
    waits_ = message->key();
    return fate::waits;
  } else {
    enter(known == none ? know(message->key()) : known, next_, state, at, message, bytes, now);
    advance_next();
    return fate::enters;
  }
  advance_next();
  return fate::passes;
}

void key_lane::advance_next() {
  waits_.reset();
  next_ = progress_.next(next_ + 1);
  while (next_ > progress_.reached() && progress_.take_kept(next_)) {
    progress_.pass(next_);
    next_ = progress_.next(next_ + 1);
  }
}

void key_lane::pass(const sequence_range& lost) {
  progress_.pass(lost);
  next_ = lost.last;
  advance_next();
}

void key_lane::pass(slot k, sequence seq) {
  auto& key = keys_[k];
  progress_.pass(seq);
  key.passed = std::max(key.passed, seq);
  // A key that was parked before the start comes here with what it had in the window then, if there is less room now.
  if (key.from == sequence{} || seq < key.from) set_from(k, seq);
}

std::uint32_t key_lane::wanted(sequence last) const {
  if (next_ > last) return 0;
  if (worth_reading()) {
    const auto free = free_messages();
    if (next_ > recovered_) return free;
    std::uint32_t run = 1; // what lies between is settled, and may be long
    while (run < free && progress_.next(next_ + run) == next_ + run && next_ + run <= recovered_) ++run;
    return run;
  }
  const auto k = waits_ ? find_key(*waits_) : none;
  if (k != none && would_pass(k)) return share_;
  return !waits_ && !has_room() && may_park_ ? share_ : 0; // to see whose it is
}

std::uint64_t key_lane::wanted_bytes() const {
  const auto free = limits_.window_bytes - std::min(limits_.window_bytes, charged_bytes());
  return std::max(free, limits_.window_bytes / 16 + 1);
}

key_read key_lane::catch_up(sequence last) {
  starved_ = false;
  if (next_ <= recovered_) return {}; // some of their messages are still to come from there
  quota_ = next_ > last ? limits_.window : share_;
  std::vector<slot> caught_up;
  for (const auto& [from, k] : catching_) {
    if (asked_.size() == most_keys_a_read) break;
    if (from > keys_[k].passed)
      caught_up.push_back(k);
    else if (may_bring(keys_[k]) && 2 * keys_[k].unsettled <= quota_)
      asked_.push_back(k);
  }
  for (const auto k : caught_up) unpark_if_caught_up(k);
  if (asked_.empty()) return {};
  if (!has_room()) {
    asked_.clear();
    starved_ = true;
    return {};
  }
  key_read what{{}, {}, free_messages(), limits_.window_bytes - charged_bytes()};
  for (const auto k : asked_) {
    auto& key = keys_[k];
    key.asked = key.from;
    key.full = false;
    what.keys.push_back({key.key, key.from});
    what.until = std::max(what.until, key.passed);
  }
  return what;
}

key_lane::fate key_lane::found(sequence seq, slot_state state, position at, const message_ptr& message,
                               std::uint64_t bytes, time_point now) {
  const auto k = find_key(message->key());
  if (k == none) return fate::passes;
  auto& key = keys_[k];
  if (key.asked == sequence{} || key.asked != key.from || key.full || seq < key.from) return fate::passes;
  const bool settled = progress_.is_kept(seq);
  if (!settled && (!has_room() || !may_bring(key) || key.held || key.unsettled >= quota_)) {
    key.full = true;
    return fate::waits;
  }
  if (!settled)
    enter(k, seq, state, at, message, bytes, now);
  else if (key.head != none)
    append_settled(k, seq);
  else
    progress_.take_kept(seq);
  set_from(k, seq + 1);
  key.asked = key.from;
  return settled ? fate::passes : fate::enters;
}

bool key_lane::searched_any(sequence upto) const {
  return std::ranges::any_of(asked_, [&](slot k) { return keys_[k].asked != sequence{} && keys_[k].asked <= upto; }) ||
         std::ranges::none_of(asked_, [&](slot k) { return keys_[k].asked != sequence{}; });
}

void key_lane::searched(sequence upto) {
  for (const auto k : std::exchange(asked_, {})) {
    auto& key = keys_[k];
    const bool as_asked = std::exchange(key.asked, sequence{}) == key.from && key.from != sequence{};
    if (!as_asked || key.full) continue;
    if (upto >= key.from) set_from(k, upto + 1);
    unpark_if_caught_up(k);
  }
}

void key_lane::read_failed() {
  for (const auto k : std::exchange(asked_, {})) keys_[k].asked = sequence{};
}

void key_lane::make_room(sequence last, time_point now, std::vector<evicted_message>& left) {
  if (!may_park_ || has_share() || (next_ > last && !starved_)) return;
  if (nothing_to_evict_until_ && now < *nothing_to_evict_until_) return;
  std::vector<std::pair<std::uint32_t, slot>> victims;
  nothing_to_evict_until_ = now + patience;
  stuck_ = 0;
  for (const auto k : listed_) {
    const auto& key = keys_[k];
    const auto many = may_park(key) ? evictable(key) : 0;
    if (key.held || key.head_since + patience <= now) stuck_ += key.unsettled - many;
    if (many == 0) continue;
    if (key.held)
      victims.emplace_back(limits_.window + many, k); // before the others: nobody knows for how long it is held
    else if (key.head_since + patience <= now)
      victims.emplace_back(many, k);
    else
      nothing_to_evict_until_ = std::min(*nothing_to_evict_until_, key.head_since + patience);
  }
  std::ranges::sort(victims, std::greater{});
  for (const auto& [many, k] : victims)
    while (!has_share() && may_park(keys_[k]) && evict(k, share_, left) > 0) {
    }
  if (has_share()) nothing_to_evict_until_.reset();
}

/// What was handed over stays, and comes first; so does a head that is not held.
std::uint32_t key_lane::evictable(const key_state& k) const {
  if (!k.held) return k.unsettled - std::min(k.unsettled, std::max(k.handed, 1U));
  return k.handed == 0 ? k.unsettled : k.unsettled - std::min(k.unsettled, k.handed + 1);
}

/// Takes messages off the end of a key, and says how many.
std::size_t key_lane::evict(slot k, std::size_t most, std::vector<evicted_message>& left) {
  std::size_t gone = 0;
  auto& key = keys_[k];
  while (gone < most && key.last != none) {
    const auto at = key.last;
    auto& e = entries_[at];
    const bool settled = e.what.state == slot_state::settled;
    if (settled && (e.passed || !e.durable || progress_.kept() - behind_ >= limits_.window)) break;
    if (!settled && (e.handed || (at == key.head && !key.held))) break;
    const auto seq = e.seq;
    if (settled) {
      --behind_;
    } else {
      progress_.leave(seq);
      if (auto* count = count_of(e.what.state)) --*count;
      if (e.what.state == slot_state::ready) --key.ready;
      bytes_ -= e.what.bytes;
      --key.unsettled;
      --unsettled_;
      left.push_back({seq, e.what.at, e.what.uses_job});
      ++gone;
    }
    if (at == key.head) key.head = none;
    key.passed = std::max(key.passed, seq);
    remove(at);
    set_from(k, seq);
  }
  if (gone > 0) key.stalled = !key.held;
  list_catching(k);
  return gone;
}

void key_lane::set_from(slot k, sequence from) {
  auto& key = keys_[k];
  if (key.from != sequence{}) {
    parked_.erase({key.from, k});
    catching_.erase({key.from, k});
  }
  key.from = from;
  if (from != sequence{}) {
    parked_.emplace(from, k);
    unsaved_parking_.insert_or_assign(key.key, from);
  } else {
    unsaved_parking_.insert_or_assign(key.key, std::nullopt);
  }
  list_catching(k);
}

/// Those that may be read again are listed.
void key_lane::list_catching(slot k) {
  const auto& key = keys_[k];
  if (key.from == sequence{}) return;
  if (key.held || (key.stalled && key.unsettled > 0))
    catching_.erase({key.from, k});
  else
    catching_.emplace(key.from, k);
}

void key_lane::unpark_if_caught_up(slot k) {
  const auto& key = keys_[k];
  if (key.held || key.from <= key.passed || next_ <= recovered_) return;
  unparked_ = true;
  set_from(k, sequence{});
  forget_if_idle(k);
}

/// The key that is held with that message, outside. Others may begin there too.
key_lane::slot key_lane::parked_at(sequence seq) const {
  for (auto at = parked_.lower_bound({seq, 0}); at != parked_.end() && at->first == seq; ++at)
    if (keys_[at->second].held && keys_[at->second].head == none) return at->second;
  return none;
}

/// A held message outside is skipped. As inside, what is behind it waits until that is durable; when it was not read
/// yet since the start, and nobody knows its key, all keys do.
void key_lane::settle_outside(sequence seq) {
  const auto k = parked_at(seq);
  if (k == none && !progress_.is_open(seq)) progress_.keep(seq);
  progress_.settle(seq);
  const auto e = entries_.add();
  auto& trace = entries_[e] = {};
  trace.seq = seq;
  trace.key = k;
  trace.what.state = slot_state::settled;
  trace.passed = true;
  entry_index_.at(seq.value()) = e;
  undurable_.push_back(e);
  ++kept_;
  if (k == none) {
    ++barrier_;
    next_ = sequence{next_ - sequence{1}};
    advance_next();
    return;
  }
  auto& key = keys_[k];
  trace.after = key.first;
  (key.first == none ? key.last : entries_[key.first].before) = e;
  key.first = e;
  ++key.kept;
  ++key.barrier;
  key.held = false;
  set_from(k, seq + 1);
  unpark_if_caught_up(k);
}

} // namespace reseq::core

#include "reseq/core/lane.hpp"

#include <algorithm>
#include <utility>

namespace reseq::core {
namespace {

constexpr std::size_t small_ring = 8;

} // namespace

void result_sizes::add(std::uint64_t bytes) {
  constexpr std::uint64_t weight = 16;
  if (std::exchange(known_, true))
    average_ = (average_ * (weight - 1) + bytes + weight / 2) / weight;
  else
    average_ = bytes;
}

lane::lane(const lane_limits& limits, sequence first, time_point now)
  : limits_(limits), first_(first), head_(first), cursor_(first), next_(first), unfinished_(first), head_since_(now) {
  limits_.window = std::max(limits_.window, 1U);
  limits_.max_unsaved = std::max(limits_.max_unsaved, 1U);
}

sequence lane::oldest_unfinished() const {
  const auto open = [](const lane_slot& s) { return s.state == slot_state::pending || s.state == slot_state::held; };
  unfinished_ = std::max(unfinished_, head_);
  while (unfinished_ < next_ && !open(slot(unfinished_))) ++unfinished_;
  return unfinished_;
}

bool lane::fits(std::uint64_t bytes) const {
  if (free_messages() == 0) return false;
  return head_ == next_ || bytes + results_.expected() <= free_bytes();
}

bool lane::has_room() const {
  const auto free = free_messages();
  if (head_ == next_) return free > 0;
  return free > 0 && free >= std::min(limits_.window, results_.most_pending()) / 4 &&
         free_bytes() >= limits_.window_bytes / 4;
}

std::uint32_t lane::free_messages() const {
  const auto unsettled = next_ - head_;
  const auto kept = next_ - first_;
  const auto pending = std::min<std::uint64_t>(this->pending(), results_.most_pending());
  if (unsettled >= limits_.window || kept >= most_kept()) return 0;
  return static_cast<std::uint32_t>(
    std::min({limits_.window - unsettled, most_kept() - kept, results_.most_pending() - pending}));
}

/// Settled slots stay until they are saved: without a bound of their own, a store that is away would let them grow.
std::uint64_t lane::most_kept() const { return std::uint64_t{limits_.window} + limits_.max_unsaved; }

std::uint64_t lane::free_bytes() const {
  return limits_.window_bytes - std::min(limits_.window_bytes, bytes_ + pending() * results_.expected());
}

lane_slot& lane::admit(slot_state state, position at, message_ptr message, std::uint64_t bytes, time_point now) {
  if (head_ == next_) head_since_ = now;
  auto& s = append();
  s.message = std::move(message);
  s.at = at;
  s.charge(bytes);
  s.state = state;
  ++count(state);
  ++messages_;
  bytes_ += bytes;
  return s;
}

void lane::admit_settled(time_point now) {
  append().state = slot_state::settled;
  advance_head(now);
}

void lane::skip_to(sequence next, time_point now) {
  first_ = head_ = cursor_ = next_ = unfinished_ = next;
  head_since_ = now;
}

void lane::finish(sequence seq, content_ptr body, std::uint64_t body_bytes, time_point now) {
  auto& s = slot(seq);
  s.body = std::move(body);
  s.finished = now;
  s.charge(body_bytes);
  bytes_ += body_bytes;
  results_.add(body_bytes);
  change(s, slot_state::ready);
}

void lane::hold(sequence seq) {
  change(slot(seq), slot_state::held);
  unfinished_ = std::min(unfinished_, seq);
}

void lane::unhold(sequence seq) {
  auto& s = slot(seq);
  change(s, s.body ? slot_state::ready : slot_state::pending);
}

void lane::settle(sequence seq, time_point now) {
  auto& s = slot(seq);
  if (s.state != slot_state::sent) s.finished = now; // the outcome is known only now
  if (s.state == slot_state::pending) results_.add(0);
  change(s, slot_state::settled);
  --messages_;
  bytes_ -= s.bytes;
  s.bytes = 0;
  s.message.reset();
  s.body.reset();
  advance_head(now);
}

void lane::release(std::size_t count, sequence limit, const progress& book, time_point now,
                   std::vector<released_slot>& out) {
  std::uint64_t taken_bytes = 0;
  for (std::size_t n = 0; n < count;) {
    if (pass(book)) continue;
    if (cursor_ == next_ || cursor_ >= limit) return;
    auto& s = slot(cursor_);
    const bool first_time = s.deliveries == 0;
    if (s.state != slot_state::ready || (first_time && unsaved_ >= limits_.max_unsaved)) return;
    taken_bytes += s.bytes;
    if (first_time && n > 0 && taken_bytes > most_request_bytes) return;
    change(s, slot_state::sent);
    if (s.count_delivery()) ++unsaved_;
    latest_finish_ = std::max(latest_finish_, s.finished);
    out.push_back({cursor_, first_time, now - latest_finish_});
    ++cursor_;
    ++n;
  }
}

void lane::take_back() {
  // Everything before the cursor is sent or settled, so the head is the first that is sent.
  for (auto seq = head_; seq < cursor_; ++seq)
    if (auto& s = slot(seq); s.state == slot_state::sent) change(s, slot_state::ready);
  cursor_ = std::min(cursor_, head_);
}

void lane::trim(const progress& book) {
  while (pass(book)) {
  }
  const auto keep = std::min({book.saved_watermark() + 1, head_, cursor_});
  for (; first_ < keep; ++first_) {
    if (slot(first_).deliveries > 0) --unsaved_;
    start_ = start_ + 1 == capacity_ ? 0 : start_ + 1;
  }
  if (first_ == next_ && capacity_ > small_ring) resize(small_ring);
}

bool lane::pass(const progress& book) {
  if (cursor_ == next_) return false;
  const auto& s = slot(cursor_);
  if (s.state != slot_state::settled || !book.is_durable(cursor_)) return false;
  latest_finish_ = std::max(latest_finish_, s.finished);
  ++cursor_;
  return true;
}

lane_slot& lane::append() {
  const auto size = capacity_;
  if (next_ - first_ == size) {
    const auto enough = static_cast<std::size_t>(most_kept());
    resize(std::max(size < enough ? std::min(2 * size, enough) : 2 * size, small_ring));
  }
  auto& s = slot(next_);
  s.renew();
  ++next_;
  return s;
}

void lane::resize(std::size_t capacity) {
  std::vector<lane_slot> larger(capacity);
  for (auto seq = first_; seq < next_; ++seq) larger[static_cast<std::size_t>(seq - first_)] = std::move(slot(seq));
  ring_ = std::move(larger);
  capacity_ = capacity;
  start_ = 0;
}

void lane::change(lane_slot& s, slot_state to) {
  --count(s.state);
  s.state = to;
  ++count(to);
}

void lane::advance_head(time_point now) {
  const auto before = head_;
  while (head_ < next_ && slot(head_).state == slot_state::settled) ++head_;
  if (head_ != before) head_since_ = now;
}

} // namespace reseq::core

#include "reseq/core/total_lane_account.hpp"

#include <algorithm>
#include <utility>

namespace reseq::core {
namespace {

/// Takes those before `cut` out of `from`.
std::vector<sequence> take_before(std::vector<sequence>& from, sequence cut) {
  const auto left = std::stable_partition(from.begin(), from.end(), [&](sequence seq) { return seq < cut; });
  std::vector<sequence> taken(from.begin(), left);
  from.erase(from.begin(), left);
  return taken;
}

} // namespace

void total_lane_account::admit(sequence seq) { let_go_ ? enter(seq) : admitted_.push_back(seq); }

void total_lane_account::finish(sequence seq) {
  if (!let_go_) return finished_.push_back(seq);
  make_ready(seq);
  release();
}

void total_lane_account::settle(sequence seq) {
  if (!let_go_) {
    if (!is_gone(seq)) settled_.push_back(seq); // else it was released
    return;
  }
  leave(seq);
  release();
}

void total_lane_account::let_go() {
  while (has_news()) {
    lane_update untold;
    tell(untold, admitted_.size() + 1);
  }
  let_go_ = true;
}

bool total_lane_account::has_news() const { return !admitted_.empty() || !finished_.empty() || !settled_.empty(); }

lane_answer total_lane_account::tell(lane_update& into, std::size_t most) {
  if (admitted_.size() <= most) {
    into.admitted = std::exchange(admitted_, {});
    into.ready = std::exchange(finished_, {});
    into.settled = std::exchange(settled_, {});
  } else {
    const auto cut = admitted_[most];
    into.admitted = take_before(admitted_, cut);
    into.ready = take_before(finished_, cut);
    into.settled = take_before(settled_, cut);
  }
  for (const auto seq : into.admitted) enter(seq);
  for (const auto seq : into.ready) make_ready(seq);
  for (const auto seq : into.settled) leave(seq);
  return expected();
}

lane_answer total_lane_account::tell_all(lane_update& into, std::size_t most) {
  let_go();
  let_go_ = false;
  for (std::size_t i = 0; i < states_.size(); ++i) {
    if (states_[i] != state::gone) admitted_.push_back(head_ + i);
    if (states_[i] == state::ready) finished_.push_back(head_ + i);
  }
  states_.clear();
  pending_ = ready_ = 0;
  return tell(into, most);
}

lane_answer total_lane_account::expected() {
  auto released = release();
  return {true, std::move(released), pending_, ready_};
}

total_lane_account::state* total_lane_account::find(sequence seq) {
  return seq < head_ || seq - head_ >= states_.size() ? nullptr : &states_[seq - head_];
}

bool total_lane_account::is_gone(sequence seq) const {
  return seq < head_ || (seq - head_ < states_.size() && states_[seq - head_] == state::gone);
}

void total_lane_account::enter(sequence seq) {
  if (seq < head_) return;
  if (states_.empty()) head_ = seq;
  states_.resize(seq - head_ + 1, state::gone);
  states_.back() = state::pending;
  ++pending_;
}

void total_lane_account::make_ready(sequence seq) {
  auto* s = find(seq);
  if (s == nullptr || *s != state::pending) return;
  *s = state::ready;
  ++ready_;
}

void total_lane_account::leave(sequence seq) {
  auto* s = find(seq);
  if (s == nullptr || *s == state::gone) return;
  remove(*s);
  skip_gone();
}

/// Takes out the ready ones that nothing pending stands before.
std::vector<sequence> total_lane_account::release() {
  std::vector<sequence> released;
  while (!states_.empty() && states_.front() == state::ready) {
    released.push_back(head_);
    remove(states_.front());
    skip_gone();
  }
  return released;
}

void total_lane_account::remove(state& s) {
  --pending_;
  if (s == state::ready) --ready_;
  s = state::gone;
}

void total_lane_account::skip_gone() {
  for (; !states_.empty() && states_.front() == state::gone; ++head_) states_.pop_front();
}

} // namespace reseq::core

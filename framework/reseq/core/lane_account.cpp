#include "reseq/core/lane_account.hpp"

#include <utility>

namespace reseq::core {

const lane_account::state* lane_account::find(sequence seq) const {
  return seq < head_ || seq - head_ >= states_.size() ? nullptr : &states_[seq - head_];
}

lane_account::state* lane_account::find(sequence seq) { return const_cast<state*>(std::as_const(*this).find(seq)); }

bool lane_account::is_gone(sequence seq) const {
  const auto* s = find(seq);
  return seq < head_ || (s != nullptr && *s == state::gone);
}

void lane_account::admit(sequence seq) {
  if (seq < head_) return;
  if (states_.empty()) head_ = seq;
  states_.resize(seq - head_ + 1, state::gone);
  states_.back() = state::pending;
  ++pending_;
}

void lane_account::finish(sequence seq) {
  auto* s = find(seq);
  if (s == nullptr || *s != state::pending) return;
  *s = state::ready;
  ++ready_;
}

void lane_account::settle(sequence seq) {
  auto* s = find(seq);
  if (s == nullptr || *s == state::gone) return;
  remove(*s);
  skip_gone();
}

std::vector<sequence> lane_account::release() {
  std::vector<sequence> released;
  while (!states_.empty() && states_.front() == state::ready) {
    released.push_back(head_);
    remove(states_.front());
    skip_gone();
  }
  return released;
}

void lane_account::remove(state& s) {
  --pending_;
  if (s == state::ready) --ready_;
  s = state::gone;
}

void lane_account::skip_gone() {
  for (; !states_.empty() && states_.front() == state::gone; ++head_) states_.pop_front();
}

std::vector<sequence> lane_account::all() const {
  std::vector<sequence> out;
  for (std::size_t i = 0; i < states_.size(); ++i)
    if (states_[i] != state::gone) out.push_back(head_ + i);
  return out;
}

std::vector<sequence> lane_account::all_ready() const {
  std::vector<sequence> out;
  for (std::size_t i = 0; i < states_.size(); ++i)
    if (states_[i] == state::ready) out.push_back(head_ + i);
  return out;
}

} // namespace reseq::core

#include "reseq/core/key_progress.hpp"

#include <algorithm>

namespace reseq::core {
namespace {

void insert(std::vector<sequence>& into, sequence seq) {
  if (into.empty() || into.back() < seq)
    into.push_back(seq);
  else
    into.insert(std::ranges::lower_bound(into, seq), seq);
}

bool erase(std::vector<sequence>& from, sequence seq) {
  const auto at = std::ranges::lower_bound(from, seq);
  if (at == from.end() || *at != seq) return false;
  from.erase(at);
  return true;
}

} // namespace

key_progress::key_progress(const progress_record& saved)
  : reached_(saved.reached), open_(saved.open), above_(saved.above), settled_(saved.settled_messages()) {
  if (reached_ != sequence{}) return;
  // Order was in total until now: what is not settled below the last that is becomes open.
  reached_ = saved.above.empty() ? saved.watermark : saved.above.back();
  for (auto seq = saved.watermark + 1; seq <= reached_; ++seq)
    if (!std::ranges::binary_search(saved.above, seq)) open_.push_back(seq);
}

sequence key_progress::next(sequence from) const {
  if (from > reached_) return reached_ + 1;
  auto next = reached_ + 1;
  if (const auto at = std::ranges::lower_bound(open_, from); at != open_.end()) next = *at;
  if (const auto at = std::ranges::lower_bound(above_, from); at != above_.end()) next = std::min(next, *at);
  return next;
}

void key_progress::enter(sequence seq) {
  if (seq <= reached_ && std::ranges::binary_search(open_, seq)) return;
  insert(open_, seq);
  reached_ = std::max(reached_, seq);
}

void key_progress::pass(sequence seq) {
  if (seq > reached_)
    reached_ = seq;
  else
    erase(open_, seq);
}

void key_progress::pass(const sequence_range& lost) {
  reached_ = lost.last;
  settled_ += lost.size();
}

void key_progress::leave(sequence seq) { erase(open_, seq); }

void key_progress::settle(sequence seq) {
  erase(open_, seq);
  ++settled_;
}

void key_progress::keep(sequence seq) { insert(above_, seq); }

bool key_progress::take_kept(sequence seq) { return !above_.empty() && erase(above_, seq); }

bool key_progress::is_open(sequence seq) const { return std::ranges::binary_search(open_, seq); }

bool key_progress::is_kept(sequence seq) const { return std::ranges::binary_search(above_, seq); }

sequence key_progress::watermark(sequence lowest_parked) const {
  auto first = reached_ + 1;
  if (!open_.empty()) first = std::min(first, open_.front());
  if (lowest_parked != sequence{}) first = std::min(first, lowest_parked);
  return sequence{first - sequence{1}};
}

void key_progress::write(progress_record& record, sequence lowest_parked) const {
  record.watermark = watermark(lowest_parked);
  record.above = above_;
  record.reached = reached_;
  record.open = open_;
  record.settled = settled_;
}

} // namespace reseq::core

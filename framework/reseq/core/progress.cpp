#include "reseq/core/progress.hpp"

#include <algorithm>
#include <utility>

namespace reseq::core {

progress::progress(progress_record saved)
  : now_(std::move(saved)), saving_{now_.watermark, now_.above}, saved_(saving_) {}

progress_record progress::in_total(progress_record saved) {
  if (saved.reached == sequence{}) return saved;
  saved.watermark = saved.reached;
  saved.above.clear();
  saved.reached = {};
  saved.open.clear();
  saved.settled = 0;
  return saved;
}

bool progress::is_ahead_of(const progress_record& saved, sequence has) {
  return saved.reached == sequence{} && has < saved.last_delivered;
}

progress_record progress::gone_back(const progress_record& saved, sequence has, std::span<const sequence> given_up) {
  std::vector<sequence> settled(given_up.begin(), given_up.end());
  settled.insert(settled.end(), saved.above.begin(), saved.above.end());
  std::ranges::sort(settled);
  progress_record from;
  from.destination = saved.destination;
  from.watermark = from.last_delivered = has;
  from.paused = saved.paused;
  progress back(std::move(from));
  for (const auto seq : settled)
    if (!back.is_settled(seq)) back.settle(seq, false);
  return back.record();
}

void progress::settle(sequence seq, bool delivered) {
  auto& above = now_.above;
  if (seq == now_.watermark + 1) {
    auto absorbed = above.begin();
    now_.watermark = seq;
    while (absorbed != above.end() && *absorbed == now_.watermark + 1) now_.watermark = *absorbed++;
    above.erase(above.begin(), absorbed);
  } else {
    above.insert(std::ranges::upper_bound(above, seq), seq);
  }
  if (delivered) {
    now_.last_delivered = seq;
    now_.dead_letters_in_a_row = 0;
  }
}

void progress::pass(const sequence_range& lost) { now_.watermark = lost.last; }

void progress::count_dead_letter() { ++now_.dead_letters_in_a_row; }

void progress::count_delivery(sequence seq) {
  now_.last_delivered = std::max(now_.last_delivered, seq);
  now_.dead_letters_in_a_row = 0;
}

void progress::set_paused(bool paused) { now_.paused = paused; }

bool progress::is_settled(sequence seq) const {
  return seq <= now_.watermark || (!now_.above.empty() && std::ranges::binary_search(now_.above, seq));
}

bool progress::is_durable(sequence seq) const { return saved_.covers(seq); }

progress_record progress::begin_save() {
  saving_.watermark = now_.watermark;
  saving_.above = now_.above;
  return now_;
}

void progress::saved() { saved_ = saving_; }

bool progress::extent::covers(sequence seq) const { return seq <= watermark || std::ranges::binary_search(above, seq); }

} // namespace reseq::core

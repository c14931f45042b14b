#include "actors/quarantine_log.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace reseq::actors {
namespace {

constexpr duration least_between_quarantines = std::chrono::minutes{1};

} // namespace

std::vector<quarantine_log::word> quarantine_log::tell(const std::vector<core::quarantine_change>& news,
                                                       time_point now) {
  std::vector<word> words;
  if (news.empty() && (!next_ || now < *next_)) return words; // as nearly always
  for (const auto& change : news) {
    auto& one = of_[{change.pipeline, change.chain}];
    one.quarantined = change.quarantined;
    if (change.quarantined)
      ++one.untold;
    else if (std::exchange(one.told, false))
      words.push_back({change});
  }
  next_.reset();
  for (auto& [chain, one] : of_) {
    if (!one.quarantined || one.told) continue;
    const auto due = one.told_at ? *one.told_at + least_between_quarantines : now;
    if (now < due) {
      next_ = next_ ? std::min(*next_, due) : due;
      continue;
    }
    words.push_back({{chain.pipeline, chain.chain, true}, std::exchange(one.untold, 0)});
    one.told = true;
    one.told_at = now;
  }
  return words;
}

} // namespace reseq::actors

#include "reseq/core/retention_clock.hpp"

#include <algorithm>

namespace reseq::core {
namespace {

constexpr std::chrono::seconds unnoticed{1};
constexpr std::chrono::hours patience{1};

} // namespace

wall_time retention_clock::look(wall_time wall, time_point now) {
  const auto seen = offset(wall, now);
  if (seen <= believed_ + unnoticed) {
    believed_ = seen;
    since_.reset();
    return wall;
  }
  doubted_ = since_ ? std::min(doubted_, seen) : seen;
  if (!since_) since_ = now;
  if (now - *since_ >= patience) {
    believed_ = doubted_;
    since_.reset();
  }
  return std::chrono::floor<wall_time::duration>(exact_wall_time{now.time_since_epoch() + believed_});
}

} // namespace reseq::core

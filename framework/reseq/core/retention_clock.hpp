/// The date by which messages are forgotten: a wall clock that is wrong for a while makes nothing old.
#pragma once

#include <optional>

#include "reseq/model/clock.hpp"

namespace reseq::core {

/// Goes as the monotonic clock does, from what the wall clock said at first. What the wall clock gains on that is
/// believed at once up to a second a look, as when it is adjusted or drifts, and any more only once it has stayed for
/// an hour: it was set right, or the machine had slept. What it loses is believed at once, for then messages stay.
class retention_clock {
public:
  retention_clock(wall_time first, time_point now) : believed_(offset(first, now)) {}

  /// Never later than `wall`. To be asked at least once in some minutes.
  wall_time look(wall_time wall, time_point now);

private:
  static duration offset(wall_time wall, time_point now) { return wall.time_since_epoch() - now.time_since_epoch(); }

  duration believed_;               ///< wall clock − monotonic clock
  duration doubted_{};              ///< the least that it was meanwhile
  std::optional<time_point> since_; ///< when it began to be more than is believed
};

} // namespace reseq::core

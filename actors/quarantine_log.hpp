/// What is worth a line in the log when chains go into quarantine and come out of it.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "reseq/core/dispatch_table.hpp"
#include "reseq/model/clock.hpp"

namespace reseq::actors {

/// Where some messages of many kill workers, a chain may go in and out every other second. A quarantine is told once a
/// minute at most for each chain, with how often it began since, and at the latest once the minute is over if it lasts;
/// its end is told if it was. Pure; one thread.
class quarantine_log {
public:
  struct word {
    core::quarantine_change what;
    std::uint32_t times = 1; ///< it began since that was told
  };

  /// What is to be told now, after these changes or without any.
  std::vector<word> tell(const std::vector<core::quarantine_change>& news, time_point now);

private:
  struct which {
    core::pipeline_index pipeline;
    core::chain_index chain;

    friend auto operator<=>(const which&, const which&) = default;
  };
  struct state {
    bool quarantined = false;
    bool told = false; ///< that it is
    std::uint32_t untold = 0;
    std::optional<time_point> told_at; ///< the last time
  };

  std::map<which, state> of_;      ///< chains that ever were
  std::optional<time_point> next_; ///< when there is something to tell without any change
};

} // namespace reseq::actors

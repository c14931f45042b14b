/// What is worth a line in the log when receivers fail and work again.
#pragma once

#include <map>
#include <set>
#include <string>

#include "reseq/model/clock.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::actors {

/// A failure is told once, and again when its cause changes; its end is told if it was. What a destination was said to
/// fail of is not repeated for a minute, however often it works in between, nor are more than eight causes told in that
/// time. A failure that was not told for this is told once the minute is over, if it lasts. Pure; one thread.
class failure_log {
public:
  /// An attempt failed because of `why`. Whether that is to be told.
  bool failed(destination_id destination, const std::string& why, time_point now);

  /// An attempt was answered otherwise. Whether that is to be told.
  bool worked(destination_id destination);

private:
  struct trouble {
    time_point since;            ///< the minute
    std::set<std::string> heard; ///< causes told since
    std::string told;            ///< of the failure that lasts; empty: not told, or there is none
  };

  std::map<destination_id, trouble> of_; ///< those that ever failed
};

} // namespace reseq::actors

/// Says in the log when the journal hangs. Its own actor cannot: it is in the middle of it.
#pragma once

#include <memory>
#include <optional>

#include "actors/metrics.hpp"
#include "actors/protocol.hpp"
#include "reseq/model/clock.hpp"

namespace reseq::actors {

/// Looks at `metrics::journal` once a second, and logs once when it begins to hang and once when that is over.
struct journal_watch_state {
  static inline const char* name = "journal-watch";

  journal_watch_actor::behavior_type make_behavior(journal_watch_actor::stateful_pointer<journal_watch_state> to_self,
                                                   std::shared_ptr<const metrics> of);

  void look();

  journal_watch_actor::stateful_pointer<journal_watch_state> self = nullptr;
  std::shared_ptr<const metrics> measured;
  std::optional<time_point> hangs_since; ///< as was logged
};

} // namespace reseq::actors

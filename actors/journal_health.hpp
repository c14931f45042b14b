/// Whether the journal can be written, for people and for whoever decides where producers go.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>

#include "reseq/model/clock.hpp"

namespace reseq::actors {

/// The writer says how its commits go; anybody may look. Every member may be used from any thread.
class journal_health {
public:
  /// A commit that takes longer is trouble, too: a server that hangs gives no error.
  static constexpr auto longest_commit = std::chrono::seconds{5};

  struct trouble {
    std::string what;
    time_point since;
    bool hangs = false; ///< nothing has failed yet
  };

  /// A commit begins, and ends in one of the three below.
  void began(time_point now);
  void worked();
  void worked_in_part(); ///< it did, and what failed before may fail still
  void failed(std::string why, time_point now);

  /// Of a commit that takes too long; nothing while none does. Whatever waits behind it waits for nobody knows how
  /// long.
  [[nodiscard]] std::optional<trouble> hangs(time_point now) const;

  /// What keeps it from being written; nothing while commits succeed in time, as far as any was tried.
  [[nodiscard]] std::optional<trouble> look(time_point now) const;

private:
  [[nodiscard]] std::optional<trouble> under_way_too_long(time_point now) const;

  mutable std::mutex mutex_;
  std::optional<time_point> committing_since_;
  std::optional<trouble> failing_; ///< since the first of the commits that failed
};

} // namespace reseq::actors

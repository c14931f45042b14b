/// What a resequencer must have of one lane with order by key, and what it has not been told of it yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>

#include "reseq/core/lane_updates.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::core {

/// Sequences come, leave and come back in any order: a parked key's leave the window unsettled, and are read again.
/// What comes and leaves while nothing is told leaves nothing behind.
class key_lane_account {
public:
  /// Pending from now on; it is not there.
  void admit(sequence seq) { become(seq, state::pending); }
  /// Ready, if it is pending.
  void finish(sequence seq);
  /// Gone, if it is there.
  void settle(sequence seq);

  /// Whether the resequencer has not been told everything.
  [[nodiscard]] bool has_news() const { return !changed_.empty(); }
  /// Tells it in one step. What was ready, left and is pending again leaves with this step, and comes with the next.
  void tell(lane_update& into);
  /// Tells everything anew.
  void tell_all(lane_update& into);

  // As the resequencer must have it after that.
  [[nodiscard]] std::uint64_t pending() const { return pending_; } ///< ready ones included
  [[nodiscard]] std::uint64_t ready() const { return ready_; }
  /// How many are here, or not told to have gone.
  [[nodiscard]] std::size_t size() const { return known_.size(); }

private:
  enum class state : std::uint8_t { gone, pending, ready };
  struct entry {
    state now = state::gone;
    state told = state::gone;
  };

  void become(sequence seq, state now);
  void mark(entry& e, state told);

  std::map<sequence, entry> known_; ///< here, or not told to have gone
  std::set<sequence> changed_;      ///< those that are told otherwise than they are now
  std::uint64_t pending_ = 0;
  std::uint64_t ready_ = 0;
};

} // namespace reseq::core

/// A resequencer outside of the owner: it forgets, is evicted from, goes back in time, answers late or not at all, does
/// what it was told after whoever told it has gone, and has results of another history.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "reseq/core/lane_store.hpp"
#include "reseq/core/lane_updates.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::simulation {

class world;

class resequencer {
public:
  explicit resequencer(world& with) : world_(with) {}

  /// A call of that owner's arrives.
  void called(epoch owner, core::mirror_call call);
  /// It asks for results.
  void asked(std::vector<core::work_key> keys);
  /// The owner is gone, and what it said last may still be under way.
  void lose_owner();
  /// Something happens to what is kept.
  void strike();
  /// From now on it does as it is told, or never answers again: everything has to go on without it.
  void recover(bool comes_back) { away_ = !comes_back; }
  [[nodiscard]] bool is_away() const { return away_; }

  /// Whether it keeps results, none of which it can have from elsewhere or by going back.
  [[nodiscard]] bool keeps_results() const;
  /// The same of sequences.
  [[nodiscard]] bool keeps_sequences() const;
  /// Whether it was not told how far a lane is, though it could be.
  [[nodiscard]] bool lags() const;

private:
  struct late_call {
    epoch owner;
    core::lane_updates updates;
  };

  void answer(epoch owner, const core::mirror_call& call, bool late);
  void reply(std::function<void()> what, bool late);
  void do_late_calls();
  void plant();

  world& world_;
  core::lane_store store_;
  std::deque<core::lane_store> older_; ///< to go back to
  std::vector<late_call> late_;        ///< that nobody waits for any more
  bool away_ = false;
  bool struck_ = false;
};

} // namespace reseq::simulation

/// Which suspects run next on a worker of their own. A part of `dispatch_table`.
///
/// Suspects wait in groups. A group that kills its worker comes back in halves, until one alone has killed a worker;
/// what of a group survives is cleared. A pipeline runs one group at a time, on one worker, its *room*.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "reseq/core/detail/slab.hpp"
#include "reseq/core/dispatch_queue.hpp"
#include "reseq/core/dispatch_table.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::core {

/// A suspect in a group. The incarnation tells whether the task is still the one that was put there.
struct suspect {
  detail::slot task = detail::no_slot;
  incarnation life = 0;
};

/// Ascending by message, then chain.
using suspect_group = std::deque<suspect>;

class dispatch_suspects {
public:
  struct room {
    detail::slot worker = detail::no_slot; ///< closed for everything else
    bool clearing = false;                 ///< it still runs what it had before
    bool used = false;                     ///< a group has begun in it
    suspect_group left;                    ///< of the group that runs: what has no slot yet
  };

  void add_pipeline();

  /// Suspects that were found together run together, after those that wait already.
  void add(pipeline_index pipeline, suspect_group found);

  /// Some that have run, or have begun to, go before those that wait.
  void add_first(pipeline_index pipeline, suspect_group some);

  /// The room's worker died with these, two or more: each half runs by itself, before all that wait.
  void add_halves(pipeline_index pipeline, suspect_group killers);

  /// Whether some wait, after those for which `still_waits` does not hold any more were dropped from the front.
  template <class StillWaits>
  bool has_waiting(pipeline_index pipeline, StillWaits still_waits) {
    auto& groups = pipelines_[pipeline.value()].groups;
    while (!groups.empty() && std::none_of(groups.front().begin(), groups.front().end(), still_waits)) {
      groups.pop_front();
      --groups_;
    }
    return !groups.empty();
  }

  /// The group that is next. There is one.
  suspect_group take_next(pipeline_index pipeline);
  /// The room's from now on, not empty.
  void begin(pipeline_index pipeline, suspect_group next);
  void move_in(pipeline_index pipeline, detail::slot worker, bool clearing);

  /// The room's worker is gone, or for others again: what had no slot yet waits again, first.
  void vacate(pipeline_index pipeline);

  [[nodiscard]] room& of(pipeline_index pipeline) { return pipelines_[pipeline.value()].own; }
  /// Whose room the worker is.
  [[nodiscard]] std::optional<pipeline_index> owner(detail::slot worker) const;
  [[nodiscard]] bool has_room(pipeline_index pipeline) const {
    return pipelines_[pipeline.value()].own.worker != detail::no_slot;
  }
  [[nodiscard]] bool has_groups(pipeline_index pipeline) const { return !pipelines_[pipeline.value()].groups.empty(); }
  /// Nothing waits, and nobody has a room.
  [[nodiscard]] bool idle() const { return groups_ == 0 && rooms_ == 0; }
  [[nodiscard]] std::uint32_t pipelines() const { return static_cast<std::uint32_t>(pipelines_.size()); }

  /// Groups that began to run since the others last had their turn.
  std::uint32_t runs = 0;
  /// No group began although one could have: it is the others' turn.
  bool yielded = false;
  /// A room was given back, or went with its worker.
  bool vacated = false;
  /// Who is served first next time.
  pipeline_index first;

private:
  struct of_pipeline {
    std::deque<suspect_group> groups;
    room own;
  };

  std::vector<of_pipeline> pipelines_;
  std::size_t groups_ = 0; ///< that wait, of all pipelines
  std::size_t rooms_ = 0;
};

} // namespace reseq::core

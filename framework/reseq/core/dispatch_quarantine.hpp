/// Which chains run by themselves, because several of their messages were found to kill their worker, and when. A part
/// of `dispatch_table`.
///
/// While a chain is quarantined, its messages run on a worker that runs nothing else, the lowest position first: one,
/// and one more for each that its worker has survived since the last death; those that were found guilty in turn with
/// the others, and alone. After a death it rests, twice as long each time, so that its deaths do not take the workers
/// from other chains. The quarantine ends when enough were survived.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "reseq/core/dispatch_suspects.hpp"
#include "reseq/core/dispatch_table.hpp"
#include "reseq/core/work.hpp"
#include "reseq/model/clock.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::core {

/// When which chain was last dispatched: of the last two.
class recent_chains {
public:
  void ran(pipeline_index pipeline, chain_index chain, time_point now) {
    if (!last_ || last_->pipeline != pipeline || last_->chain != chain)
      before_ = std::exchange(last_, {{pipeline, chain, now}});
    else
      last_->at = now;
  }

  /// When one was that is not this one.
  [[nodiscard]] std::optional<time_point> last_but(pipeline_index pipeline, chain_index chain) const {
    const auto& other = last_ && last_->pipeline == pipeline && last_->chain == chain ? before_ : last_;
    return other ? std::optional{other->at} : std::nullopt;
  }

private:
  struct dispatched {
    pipeline_index pipeline;
    chain_index chain;
    time_point at;
  };
  std::optional<dispatched> last_;
  std::optional<dispatched> before_; ///< of another chain
};

class dispatch_quarantine {
public:
  void add_pipeline() { pipelines_.emplace_back(); }

  /// A message of the chain was found to kill its worker; `again` when it was that one before.
  void convict(pipeline_index pipeline, chain_index chain, bool again);

  /// A worker has survived a message of the chain. What waited until then, when that ends the quarantine, by ascending
  /// position.
  suspect_group survive(pipeline_index pipeline, chain_index chain);

  /// A worker died on which the chain ran by itself. It rests; not when there are no `others` whom that would help.
  void rest(pipeline_index pipeline, chain_index chain, bool others, time_point now);

  [[nodiscard]] bool holds(pipeline_index pipeline, chain_index chain) const;
  /// Nothing when it does not rest.
  [[nodiscard]] std::optional<time_point> rests_until(pipeline_index pipeline, chain_index chain) const;

  /// It waits for its chain's turn from now on; the chain is quarantined. `guilty`: it has killed a worker alone.
  void admit(pipeline_index pipeline, chain_index chain, position at, suspect who, bool guilty);

  /// Whether `take` has something, after those for which `still_waits` does not hold any more were dropped.
  template <class StillWaits>
  bool has_ready(pipeline_index pipeline, StillWaits still_waits) {
    if (!is_ready(pipeline)) return false;
    for (auto& [chain, w] : pipelines_[pipeline.value()].wards) {
      for (auto* line : {&w.waiting, &w.guilty})
        while (!line->empty() && !still_waits(line->begin()->second)) line->erase(line->begin());
      count_ready(w);
    }
    return is_ready(pipeline);
  }

  /// What runs next, at most so many: of one chain, the chains in turn. There is something.
  template <class StillWaits>
  suspect_group take(pipeline_index pipeline, std::size_t most, StillWaits still_waits) {
    auto& w = next_ready(pipeline);
    const bool turn_of_guilty = w.waiting.empty() || (!w.guilty.empty() && !w.guilty_were_last);
    w.guilty_were_last = turn_of_guilty;
    if (turn_of_guilty) most = 1;
    auto& line = turn_of_guilty ? w.guilty : w.waiting;
    suspect_group taken;
    while (!line.empty() && taken.size() < std::min<std::size_t>(w.together, most)) {
      const auto first = line.begin();
      if (still_waits(first->second)) taken.push_back(first->second);
      line.erase(first);
    }
    count_ready(w);
    return taken;
  }

  /// Those that have rested for long enough are ready.
  void wake(time_point now);
  [[nodiscard]] std::optional<time_point> next_wake() const;

  /// No chain is suspicious.
  [[nodiscard]] bool empty() const { return wards_ == 0; }
  /// Nothing is ready.
  [[nodiscard]] bool idle() const { return ready_ == 0; }
  [[nodiscard]] bool is_ready(pipeline_index pipeline) const { return pipelines_[pipeline.value()].ready > 0; }

  /// Since the last call.
  std::vector<quarantine_change> take_changes() { return std::exchange(changes_, {}); }

private:
  /// A chain of which a message was found guilty lately.
  struct ward {
    pipeline_index pipeline;
    std::uint32_t guilt = 0;
    std::uint32_t together = 1; ///< so many run at once
    bool quarantined = false;
    bool ready = false;
    duration pause{};
    std::optional<time_point> rests_until;
    bool guilty_were_last = false;
    std::map<position, suspect> waiting;
    std::map<position, suspect> guilty; ///< these wait, too
  };
  struct of_pipeline {
    std::map<chain_index, ward> wards;
    std::size_t ready = 0;
    chain_index last; ///< that had its turn
  };

  ward* find(pipeline_index pipeline, chain_index chain);
  ward& next_ready(pipeline_index pipeline);
  void count_ready(ward& w);

  std::vector<of_pipeline> pipelines_;
  std::set<std::tuple<time_point, pipeline_index, chain_index>> resting_;
  std::size_t wards_ = 0;
  std::size_t ready_ = 0;
  std::vector<quarantine_change> changes_;
};

} // namespace reseq::core

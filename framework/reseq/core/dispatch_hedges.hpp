/// When a second copy of a head may be dispatched, and of which. A part of `dispatch_table`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

#include "reseq/core/detail/slab.hpp"
#include "reseq/core/dispatch_queue.hpp"
#include "reseq/core/dispatch_table.hpp"
#include "reseq/core/work_times.hpp"
#include "reseq/model/clock.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::core {

/// An attempt whose head has held results back for too long.
struct overdue_head {
  detail::slot task = detail::no_slot;
  incarnation life = 0;
  dispatch_id copy; ///< the attempt's latest
};

/// Results that come after a head are ready.
struct held_back {
  time_point since{};
  std::uint32_t timer_place = detail::no_slot; ///< in the table's hedge timers
};

class dispatch_hedges {
public:
  void add_pipeline() { pipelines_.emplace_back(); }

  /// A copy that is no hedge was sent: a twentieth of a hedge may be, up to eight at once.
  void dispatched(pipeline_index pipeline);
  /// Whether another one may be sent; the second one is.
  [[nodiscard]] bool may_hedge(pipeline_index pipeline) const;
  void hedged(pipeline_index pipeline);

  void took(pipeline_index pipeline, chain_index chain, duration time);
  /// How long a head may hold results back; nothing before enough is known of its chain.
  [[nodiscard]] std::optional<duration> patience(pipeline_index pipeline, chain_index chain) const;

  /// Those that are overdue, the first first.
  [[nodiscard]] const std::deque<overdue_head>& overdue(pipeline_index pipeline) const {
    return pipelines_[pipeline.value()].overdue;
  }
  void add_overdue(pipeline_index pipeline, overdue_head one);
  void drop_overdue(pipeline_index pipeline);
  [[nodiscard]] bool idle() const { return overdue_ == 0; }
  [[nodiscard]] std::uint32_t pipelines() const { return static_cast<std::uint32_t>(pipelines_.size()); }

private:
  struct of_pipeline {
    std::uint32_t credit = 0; ///< in copies that were sent
    work_times common;
    std::unordered_map<chain_index, work_times> own;
    std::deque<overdue_head> overdue;
  };

  std::vector<of_pipeline> pipelines_;
  std::size_t overdue_ = 0; ///< of all pipelines
};

} // namespace reseq::core

/// What a supervisor counts and measures. Every member may be used from any thread.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/labels.h>
#include <prometheus/registry.h>

#include "actors/divergences.hpp"
#include "actors/journal_health.hpp"
#include "reseq/core/dispatch_table.hpp"
#include "reseq/core/lane_mirror.hpp"
#include "reseq/core/shard.hpp"
#include "reseq/model/clock.hpp"

namespace reseq::actors {

/// Of `core::drift`, in its order.
constexpr std::array<const char*, core::drift_kinds> drift_names{"contents", "version", "silence", "results"};

/// A pipeline with more destinations than this has no series for each, only sums: a scrape would be megabytes.
constexpr std::size_t max_labelled_destinations = 200;

/// The labels of what concerns one of a pipeline's `count` destinations.
prometheus::Labels labels_of(const std::string& pipeline, const std::string& destination, std::size_t count);

/// Requests to a destination, by how they were answered.
struct delivery_counters {
  prometheus::Counter* confirmed = nullptr;
  prometheus::Counter* refused = nullptr;
  prometheus::Counter* failing = nullptr;
  prometheus::Counter* stale = nullptr;
};

/// The metrics of one supervisor. Gauges of lanes are not here: they are read from the shards when somebody asks.
class metrics {
public:
  metrics();

  prometheus::Registry registry;

  prometheus::Counter& commits;
  prometheus::Counter& dispatched;
  prometheus::Counter& attempts_done;
  prometheus::Counter& attempts_failed;
  prometheus::Counter& attempts_timed_out;
  prometheus::Counter& attempts_late;
  prometheus::Counter& attempts_orphaned;
  prometheus::Counter& attempts_crashed;
  prometheus::Counter& hedges_won;
  prometheus::Counter& hedges_lost;
  prometheus::Counter& hedges_failed;
  prometheus::Counter& given_up;
  prometheus::Counter& worker_deaths;
  prometheus::Counter& out_of_order;
  std::array<prometheus::Counter*, core::drift_kinds> rebuilds; ///< of what the resequencer has, by why
  prometheus::Counter& results_adopted;
  prometheus::Family<prometheus::Counter>& accepted;     ///< by pipeline
  prometheus::Family<prometheus::Counter>& duplicates;   ///< by pipeline
  prometheus::Family<prometheus::Counter>& unrouted;     ///< by pipeline
  prometheus::Family<prometheus::Counter>& dead_letters; ///< by `labels_of`
  prometheus::Histogram& accept;
  prometheus::Histogram& transform;
  prometheus::Histogram& release_overhead;
  prometheus::Histogram& delivery;

  journal_health journal;
  divergences diverged;

  /// Of the destinations with these `labels_of`.
  delivery_counters deliveries_to(const prometheus::Labels& labels);

  prometheus::Histogram& end_to_end(const std::string& pipeline);

  /// Adds what has come since the last call with the same `seen`, and remembers it there. For the counters that
  /// state machines keep themselves.
  void publish(const core::dispatch_counters& now, core::dispatch_counters& seen);

private:
  prometheus::Family<prometheus::Counter>& deliveries_;
  prometheus::Family<prometheus::Histogram>& end_to_end_;
};

/// Seconds as Prometheus wants them.
inline double seconds(duration d) { return std::chrono::duration<double>(d).count(); }

} // namespace reseq::actors

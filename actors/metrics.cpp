#include "actors/metrics.hpp"

#include <prometheus/gauge.h>

namespace reseq::actors {
namespace {

prometheus::Family<prometheus::Counter>& counters(prometheus::Registry& in, const std::string& name,
                                                  const std::string& help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(in);
}

prometheus::Counter& counter(prometheus::Registry& in, const std::string& name, const std::string& help) {
  return counters(in, name, help).Add({});
}

prometheus::Counter& attempts(prometheus::Registry& in, const std::string& outcome) {
  return counters(in, "reseq_attempts_total", "Attempts of transform chains, by how they ended")
    .Add({{"outcome", outcome}});
}

prometheus::Counter& hedges(prometheus::Registry& in, const std::string& outcome) {
  return counters(in, "reseq_hedges_total", "Second copies of attempts that held results back, by how they ended")
    .Add({{"outcome", outcome}});
}

std::array<prometheus::Counter*, core::drift_kinds> lane_rebuilds(prometheus::Registry& in) {
  auto& family = counters(in, "reseq_lane_rebuilds_total", "Lanes that were written to Redis anew, by why");
  std::array<prometheus::Counter*, core::drift_kinds> all{};
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = &family.Add({{"reason", drift_names[i]}});
  return all;
}

const prometheus::Histogram::BucketBoundaries& seconds_bounds() {
  static const prometheus::Histogram::BucketBoundaries bounds{0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                                              0.01,    0.025,  0.05,    0.1,    0.25,  0.5,    1,
                                                              2.5,     5,      10,      30,     60,    300,    3600};
  return bounds;
}

prometheus::Family<prometheus::Histogram>& histograms(prometheus::Registry& in, const std::string& name,
                                                      const std::string& help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(in);
}

prometheus::Histogram& histogram(prometheus::Registry& in, const std::string& name, const std::string& help) {
  return histograms(in, name, help).Add({}, seconds_bounds());
}

} // namespace

prometheus::Labels labels_of(const std::string& pipeline, const std::string& destination, std::size_t count) {
  if (count > max_labelled_destinations) return {{"pipeline", pipeline}};
  return {{"pipeline", pipeline}, {"destination", destination}};
}

metrics::metrics()
  : commits(counter(registry, "reseq_commits_total", "Transactions written by the journal")),
    dispatched(counter(registry, "reseq_dispatches_total", "Copies of jobs sent to workers")),
    attempts_done(attempts(registry, "done")), attempts_failed(attempts(registry, "failed")),
    attempts_timed_out(attempts(registry, "timed_out")), attempts_late(attempts(registry, "late")),
    attempts_orphaned(attempts(registry, "orphaned")), attempts_crashed(attempts(registry, "crashed")),
    hedges_won(hedges(registry, "won")), hedges_lost(hedges(registry, "lost")),
    hedges_failed(hedges(registry, "failed")),
    given_up(counter(registry, "reseq_messages_given_up_total", "Messages that used up their attempts")),
    worker_deaths(counter(registry, "reseq_worker_deaths_total", "Workers whose connection ended without a farewell")),
    out_of_order(counter(registry, "reseq_out_of_order_total", "Results that came before an older one of their lane")),
    rebuilds(lane_rebuilds(registry)),
    results_adopted(counter(registry, "reseq_results_adopted_total", "Results of an earlier owner that were used")),
    accepted(
      counters(registry, "reseq_messages_accepted_total",
               "Messages made durable, with those that no destination wanted; duplicates are not counted again")),
    duplicates(counters(registry, "reseq_messages_duplicate_total", "Submissions answered with an earlier receipt")),
    unrouted(counters(registry, "reseq_messages_unrouted_total",
                      "Of the accepted messages, those that go to no destination: no `when` matched")),
    dead_letters(counters(registry, "reseq_dead_letters_total", "Messages recorded as dead letters, and passed")),
    accept(histogram(registry, "reseq_accept_seconds", "From a submission's last byte to its receipt")),
    transform(histogram(registry, "reseq_transform_seconds", "Time in transform chains, at the worker")),
    release_overhead(histogram(registry, "reseq_release_overhead_seconds",
                               "From the latest finish among a message and its predecessors to its delivery")),
    delivery(histogram(registry, "reseq_delivery_seconds", "From handing over a request to its answer")),
    deliveries_(counters(registry, "reseq_deliveries_total", "Requests to destinations, by how they were answered")),
    end_to_end_(histograms(registry, "reseq_end_to_end_seconds",
                           "From a message's submission to its confirmation by a receiver")) {
  prometheus::BuildGauge()
    .Name("reseq_build_info")
    .Help("1, with the version of the program")
    .Register(registry)
    .Add({{"version", RESEQ_VERSION}})
    .Set(1);
}

delivery_counters metrics::deliveries_to(const prometheus::Labels& labels) {
  const auto with = [&](const char* outcome) {
    auto all = labels;
    all.emplace("outcome", outcome);
    return &deliveries_.Add(all);
  };
  return {with("confirmed"), with("refused"), with("failing"), with("stale")};
}

prometheus::Histogram& metrics::end_to_end(const std::string& pipeline) {
  return end_to_end_.Add({{"pipeline", pipeline}}, seconds_bounds());
}

void metrics::publish(const core::dispatch_counters& now, core::dispatch_counters& seen) {
  const auto add = [](prometheus::Counter& to, std::uint64_t current, std::uint64_t before) {
    if (current > before) to.Increment(static_cast<double>(current - before));
  };
  add(dispatched, now.dispatched, seen.dispatched);
  add(attempts_done, now.done, seen.done);
  add(attempts_failed, now.failed, seen.failed);
  add(attempts_timed_out, now.timed_out, seen.timed_out);
  add(attempts_late, now.late, seen.late);
  add(attempts_orphaned, now.orphaned, seen.orphaned);
  add(attempts_crashed, now.crashed, seen.crashed);
  add(hedges_won, now.hedges_won, seen.hedges_won);
  add(hedges_lost, now.hedges_lost, seen.hedges_lost);
  add(hedges_failed, now.hedges_failed, seen.hedges_failed);
  add(given_up, now.given_up, seen.given_up);
  seen = now;
}

} // namespace reseq::actors

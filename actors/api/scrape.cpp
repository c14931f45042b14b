#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <caf/send.hpp>

#include "actors/api/gather.hpp"
#include "actors/api/http_api.hpp"

namespace reseq::actors {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;

MetricFamily gauge(std::string label, std::string help) {
  MetricFamily made;
  made.name = std::move(label);
  made.help = std::move(help);
  made.type = prometheus::MetricType::Gauge;
  return made;
}

void add(MetricFamily& to, std::vector<ClientMetric::Label> labels, double value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.gauge.value = value;
  to.metric.push_back(std::move(metric));
}

/// The lanes' gauges. With very many destinations only the sums.
struct lane_gauges {
  MetricFamily lag = gauge("reseq_destination_lag_messages", "Accepted and not settled");
  MetricFamily pending = gauge("reseq_lane_pending", "In the window, without a result");
  MetricFamily ready = gauge("reseq_lane_ready", "In the window, with a result");
  MetricFamily age = gauge("reseq_head_of_line_age_seconds", "How long the head of the lane has been the head");
  MetricFamily held = gauge("reseq_held_messages", "Waiting for a person");
  MetricFamily paused =
    gauge("reseq_destination_paused", "1 while an operator's pause keeps it from being delivered to");

  void add_destination(const std::vector<ClientMetric::Label>& labels, const core::destination_status& one) {
    add(lag, labels, static_cast<double>(one.lag));
    add(pending, labels, static_cast<double>(one.pending));
    add(ready, labels, static_cast<double>(one.ready));
    add(age, labels, one.head ? seconds(std::chrono::steady_clock::now() - one.head->since) : 0);
    add(held, labels, static_cast<double>(one.held.size()));
    add(paused, labels, one.state == core::lane_state::paused ? 1 : 0);
  }

  void add_pipeline(const std::string& pipeline, const std::vector<core::destination_status>& all) {
    if (all.size() <= max_labelled_destinations) {
      for (const auto& one : all) add_destination({{"pipeline", pipeline}, {"destination", one.name}}, one);
      return;
    }
    core::destination_status sum;
    for (const auto& one : all) {
      sum.lag += one.lag;
      sum.pending += one.pending;
      sum.ready += one.ready;
      if (one.state == core::lane_state::paused) sum.state = one.state;
      sum.held.insert(sum.held.end(), one.held.begin(), one.held.end());
      if (one.head && (!sum.head || one.head->since < sum.head->since)) sum.head = one.head;
    }
    add_destination({{"pipeline", pipeline}}, sum);
  }
};

void add_dispatcher(std::vector<MetricFamily>& families, const dispatcher_status& status) {
  auto workers = gauge("reseq_workers", "Connected worker processes");
  add(workers, {}, static_cast<double>(status.workers.size()));
  auto slots = gauge("reseq_worker_slots", "Slots of the connected workers");
  add(slots, {}, static_cast<double>(status.slots));
  auto busy = gauge("reseq_worker_slots_busy", "Slots with a copy of a job in them");
  add(busy, {}, static_cast<double>(status.in_flight));
  auto suspects = gauge("reseq_suspects", "Chains that were in flight on two workers that died");
  add(suspects, {}, static_cast<double>(status.suspects));
  for (auto* family : {&workers, &slots, &busy, &suspects}) families.push_back(std::move(*family));
}

} // namespace

void http_api::scrape(const net::responder& answer) {
  using statuses = std::vector<core::destination_status>;
  const auto finish = [this, answer](const std::vector<result<statuses>>& all, const dispatcher_status& workers) {
    auto families = setup_.measured->registry.Collect();
    lane_gauges lanes;
    auto owner = gauge("reseq_owner", "1 where this node owns the shard");
    auto epochs = gauge("reseq_epoch", "Epoch of the shard's owner");
    auto diverged = gauge("reseq_diverged", "1 while the pipeline has diverged, and accepts and delivers nothing");
    const auto stopped = setup_.measured->diverged.all();
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto& pipeline = setup_.pipelines[i];
      if (all[i]) lanes.add_pipeline(pipeline.name, *all[i]);
      add(diverged, {{"pipeline", pipeline.name}}, stopped.contains(pipeline.name) ? 1 : 0);
      add(owner, {{"pipeline", pipeline.name}, {"shard", "0"}}, 1);
      add(epochs, {{"pipeline", pipeline.name}, {"shard", "0"}}, static_cast<double>(pipeline.owner.value()));
    }
    auto writable = gauge("reseq_journal_writable", "0 while the journal cannot be written, and producers are refused");
    add(writable, {}, setup_.measured->journal.look(std::chrono::steady_clock::now()) ? 0 : 1);
    families.push_back(std::move(writable));
    add_dispatcher(families, workers);
    for (auto* family :
         {&lanes.lag, &lanes.pending, &lanes.ready, &lanes.age, &lanes.held, &lanes.paused, &owner, &epochs, &diverged})
      families.push_back(std::move(*family));
    answer(
      {200, "text/plain; version=0.0.4; charset=utf-8", {}, prometheus::TextSerializer{}.Serialize(families), false});
  };
  api::gather<statuses>(
    setup_.pipelines.size(),
    [&](std::size_t i, reply<statuses> done) {
      caf::anon_send(setup_.pipelines[i].actor, ask_status{std::nullopt, std::move(done)});
    },
    [this, finish](const std::vector<result<statuses>>& all) {
      caf::anon_send(setup_.dispatcher, ask_dispatcher{reply<dispatcher_status>([all, finish](const auto& workers) {
                       finish(all, workers.value_or(dispatcher_status{}));
                     })});
    });
}

} // namespace reseq::actors

#include "actors/shard_start.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <random>
#include <string_view>
#include <utility>

#include <caf/actor_system.hpp>
#include <spdlog/spdlog.h>

#include "actors/metrics.hpp"
#include "actors/open_stores.hpp"
#include "actors/resequencer.hpp"
#include "actors/sinks.hpp"
#include "actors/system.hpp"
#include "reseq/net/url.hpp"
#include "reseq/pipeline/hash.hpp"

namespace reseq::actors {
namespace {

/// Takes what the journal had of it.
core::destination_setup lane_of(const destination_settings& wanted, store::destination_state& known, bool own_chain) {
  core::destination_setup lane;
  lane.id = known.id;
  lane.settings = wanted;
  lane.own_chain = own_chain;
  lane.last = known.last;
  lane.progress = std::move(known.progress);
  lane.held = std::move(known.held);
  lane.parked = std::move(known.parked);
  for (const auto& one : known.lost) lane.lost.push_back(one.range);
  return lane;
}

/// What other transforms made, or another installation that shares the Redis, is not what these would make.
std::string origin_of(const store::journal& journal, const opened_pipeline& opened) {
  return detail::hasher{}.add(journal.identity()).add(opened.fingerprint).hex();
}

bool has_own_chain(const registry& transforms, const pipeline_settings& pipeline,
                   const destination_settings& destination) {
  if (!destination.transforms.empty()) return true;
  const auto composed = transforms.pipelines().find(pipeline.name);
  return pipeline.transforms.empty() && composed != transforms.pipelines().end() &&
         composed->second.own.contains(destination.name);
}

} // namespace

std::set<destination_id> own_chains(const registry& definitions, const opened_pipeline& opened) {
  std::set<destination_id> own;
  const auto& destinations = opened.settings.destinations;
  for (std::size_t i = 0; i < destinations.size(); ++i)
    if (has_own_chain(definitions, opened.settings, destinations[i])) own.insert(opened.shard.state.destinations[i].id);
  return own;
}

void shard_actors::end() {
  for (auto& one : sinks) actors::end(one);
  for (auto& one : resequencers) actors::end(one);
}

result<shard_setup> shard_starter::prepare(opened_pipeline& opened, core::pipeline_index index) {
  shard_setup setup;
  setup.pipeline = opened.settings.name;
  setup.handle = opened.shard.state.handle;
  setup.index = index;
  setup.owner = opened.shard.state.owner;
  setup.back = std::move(opened.shard.back);
  setup.journal = around_.writer;
  setup.reader = around_.reader;
  setup.dispatcher = around_.dispatcher;
  setup.measured = around_.measured;

  auto lanes = start_lanes(opened, setup);
  if (!lanes) return tl::unexpected(lanes.error());
  setup.known = opened.shard.state.destinations;
  auto keeps = make_resequencer(around_.settings, {setup.pipeline, 0}, origin_of(around_.journal, opened));
  if (!keeps) return tl::unexpected(keeps.error());
  resequencer_setup outside{setup.pipeline, setup.owner, {}, std::move(*keeps)};
  for (const auto& lane : *lanes) outside.lanes.push_back({lane.id, lane.settings.name, lane.last});
  const auto& store = around_.settings.store;
  std::optional<core::resequencing> how;
  if (outside.keeps) how = core::resequencing{store.redis_timeout, store.keep_results_over};
  setup.machine =
    std::make_shared<core::shard>(std::move(*lanes), opened.settings.retry.on_exhausted, std::random_device{}(),
                                  std::chrono::steady_clock::now(), setup.owner, how);
  if (opened.shard.diverged) diverge(setup, *opened.shard.diverged);
  if (outside.keeps)
    if (auto told = start_resequencer(std::move(outside), setup); !told) return tl::unexpected(told.error());
  return setup;
}

result<std::vector<core::destination_setup>> shard_starter::start_lanes(opened_pipeline& opened, shard_setup& to) {
  const auto own = own_chains(around_.definitions, opened);
  std::vector<core::destination_setup> lanes;
  for (std::size_t i = 0; i < opened.settings.destinations.size(); ++i) {
    const auto& destination = opened.settings.destinations[i];
    auto& known = opened.shard.state.destinations[i];
    auto sink = start_sink(opened, destination, known, to);
    if (!sink) return tl::unexpected(sink.error());
    around_.on_end.watch(*sink, "a destination's");
    to.sinks.emplace(known.id, *sink);
    around_.spawned.sinks.push_back(std::move(*sink));
    lanes.push_back(lane_of(destination, known, own.contains(known.id)));
  }
  return lanes;
}

result<sink_actor> shard_starter::start_sink(const opened_pipeline& opened, const destination_settings& destination,
                                             const store::destination_state& known, shard_setup& to) {
  auto& actors = around_.actors;
  const auto compared = opened.shard.compared.find(known.id);
  const bool is_compared = compared != opened.shard.compared.end();
  sink_setup setup{to.pipeline, destination, to.owner, known.last, around_.restart, is_compared};
  constexpr std::string_view file_scheme = "file://";
  if (destination.url.starts_with(file_scheme))
    return actors.spawn<caf::detached>(file_sink, std::move(setup), destination.url.substr(file_scheme.size()));
  auto make = transactional_receiver(destination, function_of(around_.definitions, opened.settings, destination),
                                     {to.pipeline, destination.name, to.owner, known.last, around_.journal.identity(),
                                      is_compared ? compared->second : sequence{}});
  if (!make) return tl::unexpected(make.error());
  if (*make) {
    to.transactional.insert(known.id);
    return actors.spawn<caf::detached>(transactional_sink, std::move(setup), std::move(*make));
  }
  auto url = net::parse_url(destination.url);
  if (!url) return fail(url.error().code, url.error().what, "destination " + destination.name);
  return actors.spawn(http_sink, std::move(setup), &around_.loop, std::move(*url));
}

/// A resequencer that does not answer now is asked again, by the shard.
result<void> shard_starter::start_resequencer(resequencer_setup outside, shard_setup& to) {
  const auto found = outside.keeps->open(outside.owner, outside.lanes);
  if (!found && found.error().code == errc::fenced) {
    // The journal has just made us the owner: it knows of a later one only if another supervisor starts, too.
    const auto owner = around_.journal.current_epoch(to.handle);
    if (!owner) return tl::unexpected(owner.error());
    if (*owner > to.owner) return tl::unexpected(found.error());
  }
  if (!found && (found.error().code == errc::diverged || found.error().code == errc::fenced))
    diverge(to, found.error().what);
  else if (!found)
    spdlog::warn("pipeline {}: Redis cannot be used: {}", to.pipeline, found.error().text());
  to.resequencer = around_.actors.spawn<caf::detached>(become<resequencer_state, resequencer_actor, resequencer_setup>,
                                                       std::move(outside));
  around_.on_end.watch(to.resequencer, "a resequencer's");
  around_.spawned.resequencers.push_back(to.resequencer);
  return {};
}

/// It accepts nothing from the first request on.
void shard_starter::diverge(const shard_setup& shard, const std::string& why) const {
  around_.measured->diverged.note(shard.pipeline, why);
  caf::anon_send(around_.writer, refusal(shard, why));
  shard.machine->diverge(why);
}

} // namespace reseq::actors

#include "actors/opening.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>

#include <spdlog/spdlog.h>

#include "actors/definition.hpp"
#include "actors/wall_clock.hpp"
#include "reseq/core/progress.hpp"
#include "reseq/model/counted.hpp"

namespace reseq::actors {
namespace {

std::vector<store::destination_spec> specs_of(const pipeline_settings& pipeline) {
  std::vector<store::destination_spec> specs;
  for (const auto& d : pipeline.destinations) specs.push_back({d.name, d.max_pending});
  return specs;
}

/// Ten thousand destinations may be paused.
void tell(const std::string& pipeline, const store::shard_state& found) {
  constexpr std::size_t most_named = 10;
  std::uint64_t undelivered = 0;
  std::size_t held = 0;
  std::size_t paused = 0;
  std::string names;
  for (const auto& one : found.destinations) {
    undelivered += one.backlog();
    held += one.held.size();
    if (!one.progress.paused || ++paused > most_named) continue;
    names += (names.empty() ? "" : ", ") + one.name;
  }
  if (paused > most_named) names += " and " + std::to_string(paused - most_named) + " more";
  spdlog::info("pipeline {}: epoch {}, after position {}, {} undelivered{}{}", pipeline, found.owner.value(),
               found.last.value(), undelivered, held > 0 ? ", " + std::to_string(held) + " held" : "",
               paused > 0 ? ", paused: " + names : "");
}

/// A pipeline may leave the configuration while messages wait in it.
void warn_of_left_behind(store::journal& journal) {
  const auto found = journal.left_behind_elsewhere();
  if (!found) return spdlog::warn("journal: cannot say what other pipelines left in it: {}", found.error().text());
  for (const auto& [shard, destination, messages] : *found)
    spdlog::warn("pipeline {} is not configured here, and still has {} for its destination {}: kept, and delivered "
                 "once it is configured again",
                 shard.pipeline, counted(messages, "message"), destination);
}

/// Keys that were held up cannot be put back into one order.
error still_by_key(const destination_settings& wanted, std::uint64_t undelivered) {
  return {errc::conflict,
          "was in order by key and still has " + counted(undelivered, "undelivered message") +
            ": deliver what waits first, with order = \"key\"",
          "destination " + wanted.name};
}

/// Progress of order by key becomes that of order in total. It is saved before anything is accepted for that order: a
/// later start must not take what waits then for messages that keys have held up.
result<void> put_in_total(const pipeline_settings& pipeline, store::shard_state& state, store::journal& journal) {
  store::shard_commit all{state.handle, {}, {}};
  for (std::size_t i = 0; i < pipeline.destinations.size(); ++i) {
    auto& known = state.destinations[i];
    const bool was_by_key = known.progress.reached != sequence{} || !known.parked.empty();
    if (pipeline.destinations[i].order == delivery_order::key || !was_by_key) continue;
    if (const auto open = known.backlog(); open > 0)
      return tl::unexpected(still_by_key(pipeline.destinations[i], open));
    known.progress = core::progress::in_total(std::move(known.progress));
    all.change.progress.push_back(known.progress);
    for (auto& one : std::exchange(known.parked, {})) all.change.unparked.push_back({known.id, std::move(one.key)});
  }
  if (all.change.empty()) return {};
  const auto done = journal.commit({&all, 1}, wall_now());
  if (!done) return tl::unexpected(done.error());
  return {};
}

result<opened_shard> open_shard(const pipeline_settings& pipeline, const std::string& fingerprint,
                                const registry& definitions, store::journal& journal) {
  const auto open = [&]() -> result<store::shard_state> {
    auto state = journal.open({pipeline.name, 0}, {definition_text(pipeline, fingerprint)}, specs_of(pipeline));
    if (!state) return state;
    if (auto done = put_in_total(pipeline, *state, journal); !done) return tl::unexpected(std::move(done.error()));
    return state;
  };
  const auto receivers_of = [&](const store::shard_state& state) -> result<receivers_by_id> {
    receivers_by_id made;
    for (std::size_t i = 0; i < pipeline.destinations.size(); ++i) {
      const auto& destination = pipeline.destinations[i];
      const auto& known = state.destinations[i];
      auto make =
        transactional_receiver(destination, function_of(definitions, pipeline, destination),
                               {pipeline.name, destination.name, state.owner, known.last, journal.identity()});
      if (!make) return tl::unexpected(make.error());
      if (*make) made.emplace_back(known.id, std::move(*make));
    }
    return made;
  };
  return open_with_receivers(journal, pipeline.name, open, receivers_of);
}

} // namespace

std::map<std::string, destination_id> opened_pipeline::ids() const {
  std::map<std::string, destination_id> ids;
  for (const auto& d : shard.state.destinations) ids.emplace(d.name, d.id);
  return ids;
}

delivery_function function_of(const registry& definitions, const pipeline_settings& pipeline,
                              const destination_settings& destination) {
  const auto composed = definitions.pipelines().find(pipeline.name);
  if (!destination.in_transaction || composed == definitions.pipelines().end()) return {};
  const auto found = composed->second.functions.find(destination.name);
  return found == composed->second.functions.end() ? delivery_function{} : found->second;
}

result<std::vector<opened_pipeline>> open_pipelines(const config::settings& settings, const registry& definitions,
                                                    store::journal& journal) {
  std::vector<opened_pipeline> opened;
  std::map<std::string, std::size_t> by_name;
  for (const auto& pipeline : settings.pipelines) { // before the first one is taken over: any may be wrong
    auto print = declared_fingerprint(definitions, pipeline);
    if (!print) return tl::unexpected(print.error());
    by_name.emplace(pipeline.name, by_name.size());
    auto& one = opened.emplace_back();
    one.settings = pipeline;
    one.fingerprint = std::move(*print);
  }
  for (const auto& [name, i] : by_name) {
    auto shard = open_shard(opened[i].settings, opened[i].fingerprint, definitions, journal);
    if (!shard) return tl::unexpected(shard.error());
    tell(name, shard->state);
    opened[i].shard = std::move(*shard);
  }
  warn_of_left_behind(journal);
  return opened;
}

} // namespace reseq::actors

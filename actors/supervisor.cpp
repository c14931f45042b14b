#include "actors/supervisor.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <future>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/io/middleman.hpp>
#include <spdlog/spdlog.h>

#include "actors/api/gather.hpp"
#include "actors/api/http_api.hpp"
#include "actors/cluster_port.hpp"
#include "actors/definition.hpp"
#include "actors/dispatcher.hpp"
#include "actors/journal_reader.hpp"
#include "actors/journal_writer.hpp"
#include "actors/open_stores.hpp"
#include "actors/receivers.hpp"
#include "actors/resequencer.hpp"
#include "actors/shard.hpp"
#include "actors/sinks.hpp"
#include "actors/system.hpp"
#include "actors/watch.hpp"
#include "reseq/net/loop.hpp"
#include "reseq/pipeline/hash.hpp"

namespace reseq::actors {

struct supervisor::parts {
  config::settings settings;
  std::function<void()> restart;
  std::shared_ptr<metrics> measured = std::make_shared<metrics>();
  std::shared_ptr<store::journal> journal;
  net::loop loop; // what uses it is destroyed before it: the sinks' clients live in the actor system
  system_config actor_config;
  std::unique_ptr<caf::actor_system> actors;
  journal_actor writer;
  reader_actor reader;
  dispatcher_actor dispatcher;
  std::vector<shard_actor> shards;
  std::vector<sink_actor> sinks;
  std::vector<resequencer_actor> resequencers;
  caf::io::middleman_actor cluster;
  std::uint16_t cluster_port = 0;
  std::unique_ptr<http_api> api;
  std::unique_ptr<net::http_server> http;
  std::shared_ptr<std::atomic<bool>> stopping = std::make_shared<std::atomic<bool>>(false);
  std::vector<std::future<void>> late; ///< threads that ask receivers which did not answer in time

  result<void> open_journal();
  result<void> start_pipelines(const registry& transforms);
  result<std::vector<opened_shard>> open_shards(const std::vector<std::string>& fingerprints,
                                                const registry& definitions);
  result<opened_shard> open_shard(const pipeline_settings& pipeline, const std::string& fingerprint,
                                  const registry& definitions);
  result<shard_setup> start_shard(const pipeline_settings& pipeline, const std::string& fingerprint,
                                  opened_shard& opened, core::pipeline_index index, const std::set<destination_id>& own,
                                  const registry& definitions);
  void diverge(const shard_setup& shard, const std::string& why) const;
  result<resequencer_actor> start_resequencer(resequencer_setup outside, const shard_setup& shard);
  result<void> start_sink(const pipeline_settings& pipeline, const destination_settings& destination,
                          const opened_shard& opened, const store::destination_state& known,
                          const delivery_function& function, shard_setup& of);
  template <class Handle>
  void watch(const Handle& one, const char* whose) const;
  result<void> check_addresses();
  result<void> listen_for_workers();
  result<void> listen_for_http(std::vector<api_pipeline> pipelines);
  void end_shards();
  void stop();
};

namespace {

constexpr auto last_answers = std::chrono::milliseconds{500};

template <class Handle>
void end(Handle& one) {
  if (one) caf::anon_send_exit(one, caf::exit_reason::kill);
  one = nullptr;
}

std::uint64_t random_seed() {
  std::random_device source;
  return (std::uint64_t{source()} << 32U) | source();
}

bool has_own_chain(const registry& transforms, const pipeline_settings& pipeline,
                   const destination_settings& destination) {
  if (!destination.transforms.empty()) return true;
  const auto composed = transforms.pipelines().find(pipeline.name);
  return pipeline.transforms.empty() && composed != transforms.pipelines().end() &&
         composed->second.own.contains(destination.name);
}

/// Empty: the destination is none that C++ composed as a function.
delivery_function function_of(const registry& definitions, const pipeline_settings& pipeline,
                              const destination_settings& destination) {
  const auto composed = definitions.pipelines().find(pipeline.name);
  if (!destination.in_transaction || composed == definitions.pipelines().end()) return {};
  const auto found = composed->second.functions.find(destination.name);
  return found == composed->second.functions.end() ? delivery_function{} : found->second;
}

std::vector<store::destination_spec> specs_of(const pipeline_settings& pipeline) {
  std::vector<store::destination_spec> specs;
  for (const auto& d : pipeline.destinations) specs.push_back({d.name, d.max_pending});
  return specs;
}

/// Keys that were held up cannot be put back into one order.
result<void> check_order(const destination_settings& wanted, const store::destination_state& known) {
  const auto open = known.backlog();
  const bool was_by_key = known.progress.reached != sequence{} || !known.parked.empty();
  if (wanted.order == delivery_order::key || !was_by_key || open == 0) return {};
  return fail(errc::conflict,
              "was in order by key and still has " + std::to_string(open) +
                " undelivered messages: deliver them first, with order = \"key\"",
              "destination " + wanted.name);
}

/// What a start finds. Ten thousand destinations may be paused.
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
    spdlog::warn("pipeline {} is not configured here, and {} messages wait for its destination {}: they are kept, and "
                 "delivered once it is configured again",
                 shard.pipeline, messages, destination);
}

std::map<std::string, destination_id> ids_of(const store::shard_state& state) {
  std::map<std::string, destination_id> ids;
  for (const auto& d : state.destinations) ids.emplace(d.name, d.id);
  return ids;
}

std::unordered_map<destination_id, std::string> names_of(const store::shard_state& state) {
  std::unordered_map<destination_id, std::string> names;
  for (const auto& d : state.destinations) names.emplace(d.id, d.name);
  return names;
}

} // namespace

supervisor::supervisor(std::unique_ptr<parts> made) : parts_(std::move(made)) {}
supervisor::~supervisor() { parts_->stop(); }

result<std::unique_ptr<supervisor>> supervisor::start(const config::settings& settings, const registry& transforms,
                                                      std::function<void()> restart) {
  auto made = std::make_unique<parts>();
  made->settings = settings;
  made->restart = std::move(restart);
  auto started = made->check_addresses().and_then([&] { return made->open_journal(); }).and_then([&] {
    return made->start_pipelines(transforms);
  });
  std::unique_ptr<supervisor> whole{new supervisor{std::move(made)}};
  if (!started) return tl::unexpected(started.error());
  return whole;
}

/// Before anything is taken over: whoever cannot start must not stop the one that runs.
result<void> supervisor::parts::check_addresses() {
  for (const auto& [key, listen] :
       {std::pair{"http.listen", &settings.http.listen}, std::pair{"cluster.listen", &settings.cluster.listen}}) {
    const auto where = net::parse_host_port(*listen);
    if (!where) return tl::unexpected(where.error());
    if (where->port == 0) continue;
    net::server_options options;
    options.host = where->host;
    options.port = where->port;
    const auto tried = net::http_server::listen(loop, options, [](const auto&, const auto&) {});
    if (!tried) return fail(tried.error().code, tried.error().text(), key);
  }
  return {};
}

result<void> supervisor::parts::open_journal() {
  spdlog::info("reseq {}, node {}, journal in {}", RESEQ_VERSION, settings.node.name, whereabouts(settings));
  auto opened = actors::open_journal(settings);
  if (!opened) return tl::unexpected(opened.error());
  journal = std::move(*opened);
  spdlog::info("the journal is {}: by this, tables and streams know whose messages they have", journal->identity());
  return {};
}

/// Everything but the shards can be made at once; each shard needs its state from the journal and its sinks.
result<void> supervisor::parts::start_pipelines(const registry& transforms) {
  actors = std::make_unique<caf::actor_system>(actor_config);
  std::vector<std::string> prints;
  for (const auto& pipeline : settings.pipelines) {
    auto print = declared_fingerprint(transforms, pipeline);
    if (!print) return tl::unexpected(print.error());
    prints.push_back(std::move(*print));
  }
  auto all = open_shards(prints, transforms);
  if (!all) return tl::unexpected(all.error());
  auto& opened = *all;
  dispatcher_setup dispatching{{}, settings.cluster.token, random_seed(), measured};
  for (std::size_t i = 0; i < opened.size(); ++i) {
    const auto& pipeline = settings.pipelines[i];
    dispatching.pipelines.push_back({pipeline.name, prints[i], pipeline.retry, ids_of(opened[i].state)});
  }
  warn_of_left_behind(*journal);
  const writer_options writing{settings.store.retention};
  writer = actors->spawn<caf::detached>(
    become<writer_state, journal_actor, std::shared_ptr<store::journal>, writer_options, std::shared_ptr<metrics>>,
    journal, writing, measured);
  reader = actors->spawn<caf::detached>(actors::reader, journal);
  dispatcher = actors->spawn(become<dispatcher_state, dispatcher_actor, dispatcher_setup>, std::move(dispatching));
  watch(writer, "the journal's writing");
  watch(reader, "the journal's reading");
  watch(dispatcher, "the dispatching");
  loop.start();
  std::vector<shard_setup> setups; // of all, before the first one runs: until then the journal is this thread's
  std::vector<api_pipeline> reachable;
  for (std::size_t i = 0; i < opened.size(); ++i) {
    const auto& state = opened[i].state;
    const auto& pipeline = settings.pipelines[i];
    const core::pipeline_index index{static_cast<std::uint32_t>(i)};
    std::set<destination_id> own;
    for (std::size_t d = 0; d < pipeline.destinations.size(); ++d)
      if (has_own_chain(transforms, pipeline, pipeline.destinations[d])) own.insert(state.destinations[d].id);
    auto setup = start_shard(pipeline, prints[i], opened[i], index, own, transforms);
    if (!setup) return tl::unexpected(setup.error());
    setups.push_back(std::move(*setup));
    auto routes = std::make_shared<const core::router>(pipeline, ids_of(state));
    reachable.push_back({pipeline.name,
                         state.handle,
                         index,
                         state.owner,
                         std::move(routes),
                         ids_of(state),
                         names_of(state),
                         std::move(own),
                         {}});
  }
  for (std::size_t i = 0; i < setups.size(); ++i) {
    shards.push_back(actors->spawn(become<actors::shard_state, shard_actor, shard_setup>, std::move(setups[i])));
    reachable[i].actor = shards.back();
    watch(shards.back(), "a shard's");
    // Not only by the shard itself, which starts at some later time: what is accepted before would be told to nobody.
    caf::anon_send(writer, reachable[i].shard, shards.back());
    caf::anon_send(dispatcher, reachable[i].index, shards.back());
  }
  return listen_for_workers().and_then([&] { return listen_for_http(std::move(reachable)); });
}

/// In the order of their names, whatever the configuration's: of supervisors that start at once, one gets them all.
/// They are answered in the configuration's.
result<std::vector<opened_shard>> supervisor::parts::open_shards(const std::vector<std::string>& fingerprints,
                                                                 const registry& definitions) {
  std::map<std::string, std::size_t> by_name;
  for (std::size_t i = 0; i < settings.pipelines.size(); ++i) by_name.emplace(settings.pipelines[i].name, i);
  std::vector<opened_shard> opened(settings.pipelines.size());
  for (const auto& [name, i] : by_name) {
    auto shard = open_shard(settings.pipelines[i], fingerprints[i], definitions);
    if (!shard) return tl::unexpected(shard.error());
    tell(name, shard->state);
    std::ranges::move(shard->late, std::back_inserter(late));
    opened[i] = std::move(*shard);
  }
  return opened;
}

result<opened_shard> supervisor::parts::open_shard(const pipeline_settings& pipeline, const std::string& fingerprint,
                                                   const registry& definitions) {
  const auto open = [&] {
    return journal->open({pipeline.name, 0}, {definition_text(pipeline, fingerprint)}, specs_of(pipeline));
  };
  const auto receivers_of = [&](const store::shard_state& state) -> result<receivers_by_id> {
    receivers_by_id made;
    for (std::size_t i = 0; i < pipeline.destinations.size(); ++i) {
      const auto& destination = pipeline.destinations[i];
      const auto& known = state.destinations[i];
      auto make =
        transactional_receiver(destination, function_of(definitions, pipeline, destination),
                               {pipeline.name, destination.name, state.owner, known.last, journal->identity()});
      if (!make) return tl::unexpected(make.error());
      if (*make) made.emplace_back(known.id, std::move(*make));
    }
    return made;
  };
  return open_with_receivers(*journal, pipeline.name, open, receivers_of);
}

result<shard_setup> supervisor::parts::start_shard(const pipeline_settings& pipeline, const std::string& fingerprint,
                                                   opened_shard& opened, core::pipeline_index index,
                                                   const std::set<destination_id>& own, const registry& definitions) {
  auto& state = opened.state;
  shard_setup setup;
  std::vector<core::destination_setup> lanes;
  for (std::size_t i = 0; i < pipeline.destinations.size(); ++i) {
    const auto& destination = pipeline.destinations[i];
    auto& known = state.destinations[i];
    if (auto fits = check_order(destination, known); !fits) return tl::unexpected(fits.error());
    const auto function = function_of(definitions, pipeline, destination);
    if (auto started = start_sink(pipeline, destination, opened, known, function, setup); !started)
      return tl::unexpected(started.error());
    core::destination_setup lane;
    lane.id = known.id;
    lane.settings = destination;
    lane.own_chain = own.contains(known.id);
    lane.last = known.last;
    lane.progress = std::move(known.progress);
    lane.held = std::move(known.held);
    lane.parked = std::move(known.parked);
    for (const auto& one : known.lost) lane.lost.push_back(one.range);
    lanes.push_back(std::move(lane));
  }
  setup.pipeline = pipeline.name;
  setup.handle = state.handle;
  setup.index = index;
  setup.owner = state.owner;
  // What other transforms made, or another installation that shares the Redis, is not what these would make.
  const auto origin = detail::hasher{}.add(journal->identity()).add(fingerprint).hex();
  auto keeps = make_resequencer(settings, {pipeline.name, 0}, origin);
  if (!keeps) return tl::unexpected(keeps.error());
  resequencer_setup outside{pipeline.name, state.owner, {}, std::move(*keeps)};
  for (const auto& lane : lanes) outside.lanes.push_back({lane.id, lane.settings.name, lane.last});
  std::optional<core::resequencing> how;
  if (outside.keeps) how = core::resequencing{settings.store.redis_timeout, settings.store.keep_results_over};
  setup.machine = std::make_shared<core::shard>(std::move(lanes), pipeline.retry.on_exhausted, random_seed(),
                                                std::chrono::steady_clock::now(), state.owner, how);
  if (opened.diverged) diverge(setup, *opened.diverged);
  if (outside.keeps) {
    auto told = start_resequencer(std::move(outside), setup);
    if (!told) return tl::unexpected(told.error());
    setup.resequencer = std::move(*told);
  }
  setup.back = std::move(opened.back);
  setup.journal = writer;
  setup.reader = reader;
  setup.dispatcher = dispatcher;
  setup.measured = measured;
  return setup;
}

/// Whoever runs this process starts it again.
template <class Handle>
void supervisor::parts::watch(const Handle& one, const char* whose) const {
  actors::watch(one, whose, stopping, [](const std::string& ended, const caf::error& why) {
    spdlog::critical("{} actor ended unexpectedly ({}): this process ends, to be started again", ended,
                     caf::to_string(why));
    std::_Exit(1);
  });
}

/// It accepts nothing from the first request on.
void supervisor::parts::diverge(const shard_setup& shard, const std::string& why) const {
  measured->diverged.note(shard.pipeline, why);
  caf::anon_send(writer, refusal(shard, why));
  shard.machine->diverge(why);
}

/// A resequencer that does not answer now is asked again, by the shard.
result<resequencer_actor> supervisor::parts::start_resequencer(resequencer_setup outside, const shard_setup& shard) {
  const auto found = outside.keeps->open(outside.owner, outside.lanes);
  if (!found && found.error().code == errc::fenced) {
    // The journal has just made us the owner: it knows of a later one only if another supervisor starts, too.
    const auto owner = journal->current_epoch(shard.handle);
    if (!owner) return tl::unexpected(owner.error());
    if (*owner > shard.owner) return tl::unexpected(found.error());
  }
  if (!found && (found.error().code == errc::diverged || found.error().code == errc::fenced))
    diverge(shard, found.error().what);
  else if (!found)
    spdlog::warn("pipeline {}: Redis does not answer: {}", shard.pipeline, found.error().text());
  resequencers.push_back(
    actors->spawn<caf::detached>(become<resequencer_state, resequencer_actor, resequencer_setup>, std::move(outside)));
  watch(resequencers.back(), "a resequencer's");
  return resequencers.back();
}

result<void> supervisor::parts::start_sink(const pipeline_settings& pipeline, const destination_settings& destination,
                                           const opened_shard& opened, const store::destination_state& known,
                                           const delivery_function& function, shard_setup& of) {
  const auto use = [&](sink_actor made) -> result<void> {
    watch(made, "a destination's");
    of.sinks.emplace(known.id, made);
    sinks.push_back(std::move(made));
    return {};
  };
  const auto owner = opened.state.owner;
  sink_setup setup{pipeline.name, destination, owner, known.last, restart, opened.compared.contains(known.id)};
  constexpr std::string_view file_scheme = "file://";
  if (destination.url.starts_with(file_scheme))
    return use(actors->spawn<caf::detached>(file_sink, std::move(setup), destination.url.substr(file_scheme.size())));
  auto make = transactional_receiver(destination, function,
                                     {pipeline.name, destination.name, owner, known.last, journal->identity()});
  if (!make) return tl::unexpected(make.error());
  if (*make) {
    of.transactional.insert(known.id);
    return use(actors->spawn<caf::detached>(transactional_sink, std::move(setup), std::move(*make)));
  }
  auto to = net::parse_url(destination.url);
  if (!to) return fail(to.error().code, to.error().what, "destination " + destination.name);
  return use(actors->spawn(http_sink, std::move(setup), &loop, std::move(*to)));
}

result<void> supervisor::parts::listen_for_workers() {
  const auto where = net::parse_host_port(settings.cluster.listen);
  if (!where) return tl::unexpected(where.error());
  cluster = spawn_cluster_port(*actors, settings.cluster.token);
  watch(cluster, "the cluster port's");
  const auto port = publish(cluster, caf::actor_cast<caf::strong_actor_ptr>(dispatcher), where->port, where->host);
  if (!port) {
    spdlog::debug("cluster port: {}", actors->render(port.error()));
    return fail(errc::unavailable,
                "cannot listen on " + settings.cluster.listen +
                  ": another program does, a supervisor perhaps, or this machine has no such address; port 0 takes any "
                  "free one",
                "cluster.listen");
  }
  cluster_port = *port;
  return {};
}

result<void> supervisor::parts::listen_for_http(std::vector<api_pipeline> pipelines) {
  const auto where = net::parse_host_port(settings.http.listen);
  if (!where) return tl::unexpected(where.error());
  api = std::make_unique<http_api>(
    api_setup{settings.node.name, settings.http, std::move(pipelines), writer, reader, dispatcher, measured, restart},
    loop);
  auto listening = net::http_server::listen(
    loop, api->options(where->host, where->port),
    [this](net::http_request request, const net::responder& answer) { api->handle(std::move(request), answer); },
    [this](std::uint64_t connection) { api->closed(connection); },
    [](unsigned status, std::string detail) {
      if (status == 413) detail += ": http.max_message, or http.max_batch of batches, is the limit";
      return api::problem_response(wire::make_problem(status, std::move(detail)));
    });
  if (!listening) return fail(listening.error().code, listening.error().text(), "http.listen");
  http = std::move(*listening);
  return {};
}

net::host_port supervisor::http() const {
  auto where = *net::parse_host_port(parts_->settings.http.listen);
  where.port = parts_->http->port();
  return where;
}

net::host_port supervisor::cluster() const {
  auto where = *net::parse_host_port(parts_->settings.cluster.listen);
  where.port = parts_->cluster_port;
  return where;
}

bool supervisor::drain(duration timeout) {
  const auto end = std::chrono::steady_clock::now() + timeout;
  auto& p = *parts_;
  p.api->drain();
  p.http->stop_accepting();
  spdlog::info("stopping: finishing what is under way"); // whoever reads that is not accepted any more
  // Both at once: a producer that never ends its request must not keep deliveries from being finished and saved.
  const auto saved = std::make_shared<std::promise<bool>>();
  api::gather<bool>(
    p.shards.size(),
    [&](std::size_t i, reply<bool> done) { caf::anon_send(p.shards[i], actors::drain{std::move(done)}); },
    [saved](const std::vector<result<bool>>& all) {
      saved->set_value(std::ranges::all_of(all, [](const result<bool>& one) { return one.value_or(false); }));
    });
  const auto answered = std::make_shared<std::promise<void>>();
  p.http->drained([answered] { answered->set_value(); });
  const auto in_time = [end](const auto& what) { return what.wait_until(end) == std::future_status::ready; };
  auto all_saved = saved->get_future();
  auto all_answered = answered->get_future();
  const auto finished = in_time(all_saved) && all_saved.get();
  if (finished) return in_time(all_answered);
  p.end_shards(); // so that operators who wait for what they want are told that it will not be
  all_answered.wait_for(last_answers);
  return false;
}

void supervisor::parts::end_shards() {
  *stopping = true;
  for (auto& one : shards) end(one);
}

/// From the outside in: nothing new, then the actors, then what they used.
void supervisor::parts::stop() {
  *stopping = true;
  http.reset();
  if (!actors) return;
  if (cluster_port != 0) actors->middleman().unpublish(dispatcher, cluster_port);
  end_shards();
  for (auto& one : sinks) end(one);
  for (auto& one : resequencers) end(one);
  end(cluster);
  end(dispatcher);
  end(reader);
  end(writer);
  actors->await_all_actors_done(); // until then a commit under way may still answer through the API
  api.reset();
  actors.reset();
  loop.stop();
}

} // namespace reseq::actors

#include "actors/supervisor.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <future>
#include <iterator>
#include <memory>
#include <random>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/io/middleman.hpp>
#include <spdlog/spdlog.h>

#include "actors/api/gather.hpp"
#include "actors/api/http_api.hpp"
#include "actors/cluster_port.hpp"
#include "actors/dispatcher.hpp"
#include "actors/journal_reader.hpp"
#include "actors/journal_watch.hpp"
#include "actors/journal_writer.hpp"
#include "actors/open_stores.hpp"
#include "actors/opening.hpp"
#include "actors/shard.hpp"
#include "actors/shard_start.hpp"
#include "actors/system.hpp"
#include "actors/watch.hpp"
#include "reseq/net/loop.hpp"

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
  journal_watch_actor journal_watch;
  dispatcher_actor dispatcher;
  shard_actors beside_shards;
  std::vector<shard_actor> shards;
  caf::io::middleman_actor cluster;
  std::uint16_t cluster_port = 0;
  std::unique_ptr<http_api> api;
  std::unique_ptr<net::http_server> http;
  escalation on_end;
  std::vector<std::future<void>> late; ///< threads that ask receivers which did not answer in time

  result<void> open_journal();
  result<void> start_pipelines(const registry& definitions);
  void start_common(const std::vector<opened_pipeline>& opened);
  shard_actor start_shard(shard_setup setup);
  result<void> check_addresses();
  result<void> listen_for_workers();
  result<void> listen_for_http(std::vector<api_pipeline> pipelines);
  void end_shards();
  void stop();
};

namespace {

constexpr auto last_answers = std::chrono::milliseconds{500};

/// All but its actor, which does not run yet.
api_pipeline reach(const opened_pipeline& opened, core::pipeline_index index, std::set<destination_id> own) {
  const auto& state = opened.shard.state;
  std::unordered_map<destination_id, std::string> names;
  for (const auto& d : state.destinations) names.emplace(d.id, d.name);
  return {opened.settings.name,
          state.handle,
          index,
          state.owner,
          std::make_shared<const core::router>(opened.settings, opened.ids()),
          opened.ids(),
          std::move(names),
          std::move(own),
          {}};
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
result<void> supervisor::parts::start_pipelines(const registry& definitions) {
  actors = std::make_unique<caf::actor_system>(actor_config);
  auto opened = open_pipelines(settings, definitions, *journal);
  if (!opened) return tl::unexpected(opened.error());
  for (auto& one : *opened) std::ranges::move(one.shard.late, std::back_inserter(late));
  start_common(*opened);
  shard_starter starter({settings, definitions, *journal, *actors, loop, on_end, writer, reader, dispatcher, measured,
                         restart, beside_shards});
  std::vector<shard_setup> setups; // of all, before the first one runs: until then the journal is this thread's
  std::vector<api_pipeline> reachable;
  for (auto& one : *opened) {
    const core::pipeline_index index{static_cast<std::uint32_t>(setups.size())};
    auto setup = starter.prepare(one, index);
    if (!setup) return tl::unexpected(setup.error());
    setups.push_back(std::move(*setup));
    reachable.push_back(reach(one, index, own_chains(definitions, one)));
  }
  for (std::size_t i = 0; i < setups.size(); ++i) reachable[i].actor = start_shard(std::move(setups[i]));
  return listen_for_workers().and_then([&] { return listen_for_http(std::move(reachable)); });
}

/// What all shards use.
void supervisor::parts::start_common(const std::vector<opened_pipeline>& opened) {
  const writer_options writing{settings.store.retention};
  writer = actors->spawn<caf::detached>(
    become<writer_state, journal_actor, std::shared_ptr<store::journal>, writer_options, std::shared_ptr<metrics>>,
    journal, writing, measured);
  reader = actors->spawn<caf::detached>(actors::reader, journal);
  dispatcher_setup dispatching{{}, settings.cluster.token, std::random_device{}(), measured};
  for (const auto& one : opened)
    dispatching.pipelines.push_back({one.settings.name, one.fingerprint, one.settings.retry, one.ids()});
  dispatcher = actors->spawn(become<dispatcher_state, dispatcher_actor, dispatcher_setup>, std::move(dispatching));
  journal_watch =
    actors->spawn(become<journal_watch_state, journal_watch_actor, std::shared_ptr<const metrics>>, measured);
  on_end.watch(writer, "the journal's writing");
  on_end.watch(reader, "the journal's reading");
  on_end.watch(dispatcher, "the dispatching");
  loop.start();
}

shard_actor supervisor::parts::start_shard(shard_setup setup) {
  const auto handle = setup.handle;
  const auto index = setup.index;
  auto made = actors->spawn(become<actors::shard_state, shard_actor, shard_setup>, std::move(setup));
  on_end.watch(made, "a shard's");
  // Not only by the shard itself, which starts at some later time: what is accepted before would be told to nobody.
  caf::anon_send(writer, handle, made);
  caf::anon_send(dispatcher, index, made);
  return shards.emplace_back(std::move(made));
}

result<void> supervisor::parts::listen_for_workers() {
  const auto where = net::parse_host_port(settings.cluster.listen);
  if (!where) return tl::unexpected(where.error());
  cluster = spawn_cluster_port(*actors, settings.cluster.token);
  on_end.watch(cluster, "the cluster port's");
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

std::set<std::string> supervisor::known_here_alone() const { return parts_->measured->diverged.known_here_alone(); }

bool supervisor::drain(duration timeout) {
  const auto end = std::chrono::steady_clock::now() + timeout;
  auto& p = *parts_;
  p.api->drain();
  p.http->stop_accepting();
  // Both at once: a producer that never ends its request must not keep deliveries from being finished and saved.
  const auto saved = std::make_shared<std::promise<bool>>();
  api::gather<bool>(
    p.shards.size(),
    [&](std::size_t i, reply<bool> done) { caf::anon_send(p.shards[i], actors::drain{std::move(done)}); },
    [saved](const std::vector<result<bool>>& all) {
      saved->set_value(std::ranges::all_of(all, [](const result<bool>& one) { return one.value_or(false); }));
    });
  // Whoever reads that is not accepted any more, and nothing that he answers lets more be sent.
  spdlog::info("stopping: finishing what is under way");
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
  on_end.stop();
  for (auto& one : shards) end(one);
}

/// From the outside in: nothing new, then the actors, then what they used.
void supervisor::parts::stop() {
  on_end.stop();
  http.reset();
  if (!actors) return;
  if (cluster_port != 0) actors->middleman().unpublish(dispatcher, cluster_port);
  end_shards();
  beside_shards.end();
  end(cluster);
  end(dispatcher);
  end(reader);
  end(writer);
  end(journal_watch);
  actors->await_all_actors_done(); // until then a commit under way may still answer through the API
  api.reset();
  actors.reset();
  loop.stop();
}

} // namespace reseq::actors

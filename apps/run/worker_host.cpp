#include "run/worker_host.hpp"

#include <algorithm>
#include <atomic>
#include <future>

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/definition.hpp"
#include "actors/system.hpp"
#include "actors/worker.hpp"

namespace reseq::apps {

struct worker_host::parts {
  actors::system_config config;
  std::unique_ptr<caf::actor_system> system;
  actors::worker_node worker;
  std::promise<void> left;
};

namespace {

bool wanted(const config::settings& settings, const pipeline_settings& pipeline) {
  const auto& names = settings.worker.pipelines;
  return names.empty() || std::ranges::find(names, pipeline.name) != names.end();
}

result<actors::worker_setup> setup_of(const config::settings& settings, const registry& definitions) {
  actors::worker_setup setup;
  setup.node = settings.node.name;
  setup.token = settings.cluster.token;
  setup.slots = settings.worker.slots;
  setup.max_result = settings.http.max_result;
  if (setup.slots == 0) return fail(errc::invalid, "a worker needs at least one slot", "worker.slots");
  for (const auto& pipeline : settings.pipelines) {
    if (!wanted(settings, pipeline)) continue;
    auto runnable = make_runnable(definitions, pipeline);
    if (!runnable) return tl::unexpected(runnable.error());
    auto print = actors::declared_fingerprint(definitions, pipeline);
    if (!print) return tl::unexpected(print.error());
    setup.pipelines.push_back(std::move(*runnable));
    setup.fingerprints.push_back(std::move(*print));
  }
  if (settings.pipelines.empty())
    return fail(errc::invalid, "there is none; name the supervisor's configuration with --config", "pipeline");
  if (setup.pipelines.empty())
    return fail(errc::invalid, "names none of the pipelines that are configured here", "worker.pipelines");
  for (const auto& address : settings.cluster.supervisors) {
    auto parsed = net::parse_host_port(address);
    if (!parsed) return tl::unexpected(parsed.error());
    setup.supervisors.push_back(std::move(*parsed));
  }
  if (setup.supervisors.empty()) return fail(errc::invalid, "names nobody to connect to", "cluster.supervisors");
  return setup;
}

} // namespace

worker_host::worker_host(std::unique_ptr<parts> made) : parts_(std::move(made)) {}

result<std::unique_ptr<worker_host>> worker_host::start(const config::settings& settings, const registry& definitions,
                                                        worker_events events) {
  auto setup = setup_of(settings, definitions);
  if (!setup) return tl::unexpected(setup.error());
  setup->works = std::move(events.works);
  setup->dismissed = std::move(events.dismissed);
  auto made = std::make_unique<parts>();
  setup->left = [p = made.get(), once = std::make_shared<std::atomic<bool>>(false)] {
    if (!once->exchange(true)) p->left.set_value();
  };
  made->system = std::make_unique<caf::actor_system>(made->config);
  made->worker = made->system->spawn(actors::become<actors::worker_state, actors::worker_node, actors::worker_setup>,
                                     std::move(*setup));
  return std::unique_ptr<worker_host>{new worker_host{std::move(made)}};
}

worker_host::~worker_host() {
  caf::anon_send_exit(parts_->worker, caf::exit_reason::kill);
  parts_->worker = nullptr;
}

bool worker_host::drain(duration timeout) {
  caf::anon_send(parts_->worker, caf::close_atom::value);
  return parts_->left.get_future().wait_for(timeout) == std::future_status::ready;
}

} // namespace reseq::apps

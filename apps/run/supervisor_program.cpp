#include <memory>
#include <optional>

#include <spdlog/spdlog.h>

#include "actors/supervisor.hpp"
#include "run/own_worker.hpp"
#include "run/programs.hpp"
#include "run/worker_host.hpp"

namespace reseq::apps {
namespace {

/// Stopping itself (actors, threads, files) gets this long after the drain.
constexpr auto grace = std::chrono::seconds{3};

/// Names have up to 63 characters; the worker's has "-worker" behind it.
constexpr std::size_t longest_name = 56;

std::string reachable(const net::host_port& listening) {
  auto to = listening;
  if (to.host == "0.0.0.0") to.host = "127.0.0.1";
  if (to.host == "::") to.host = "::1";
  return to.text();
}

void say_ready(const actors::supervisor& running) {
  spdlog::info("ready http={} cluster={}", running.http().text(), running.cluster().text());
  notify_service_manager("READY=1");
}

void wait_for_stop(stop_signals& signals) {
  signals.wait([] { spdlog::warn("SIGHUP: nothing can be changed while running in this version; restart to reload"); });
  notify_service_manager("STOPPING=1");
}

void drain(actors::supervisor& running, duration timeout) {
  spdlog::info("stopping: finishing what is under way");
  if (running.drain(timeout))
    spdlog::info("everything under way is finished and saved");
  else
    spdlog::warn("node.drain_timeout is over; what was not confirmed will be delivered again");
}

} // namespace

int run_supervisor(const config::settings& settings, const registry& definitions, stop_signals& signals,
                   std::vector<std::string> worker_command) {
  auto started = actors::supervisor::start(settings, definitions);
  if (!started) {
    spdlog::critical("cannot start: {}", started.error().text());
    return 1;
  }
  auto running = std::move(*started);
  std::optional<own_worker> worker;
  if (settings.worker.slots > 0 && !worker_command.empty()) {
    worker_command.insert(worker_command.end(),
                          {"--set", "cluster.supervisors=[\"" + reachable(running->cluster()) + "\"]", "--set",
                           "node.name=" + settings.node.name.substr(0, longest_name) + "-worker"});
    worker.emplace(std::move(worker_command));
  }
  say_ready(*running);
  wait_for_stop(signals);
  signals.run_until_stopped(
    [&] {
      drain(*running, settings.node.drain_timeout);
      worker.reset();
      running.reset();
    },
    settings.node.drain_timeout + grace);
  return 0;
}

int run_both(const config::settings& settings, const registry& definitions, stop_signals& signals) {
  auto started = actors::supervisor::start(settings, definitions);
  if (!started) {
    spdlog::critical("cannot start: {}", started.error().text());
    return 1;
  }
  auto running = std::move(*started);
  auto inside = settings;
  inside.cluster.supervisors = {reachable(running->cluster())};
  auto worker = worker_host::start(inside, definitions);
  if (!worker) {
    spdlog::critical("cannot start: {}", worker.error().text());
    return 1;
  }
  say_ready(*running);
  wait_for_stop(signals);
  signals.run_until_stopped(
    [&] {
      drain(*running, settings.node.drain_timeout);
      (*worker)->drain(grace); // so that it says farewell and does not count as dead
      worker->reset();
      running.reset();
    },
    settings.node.drain_timeout + grace);
  return 0;
}

} // namespace reseq::apps

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <spdlog/spdlog.h>

#include "actors/step_down.hpp"
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

void drain(actors::supervisor& running, duration timeout) {
  if (running.drain(timeout))
    spdlog::info("everything under way is finished and saved");
  else
    spdlog::warn("node.drain_timeout is over; what was not confirmed will be delivered again");
}

/// Workers of a running supervisor's own.
struct own_workers {
  std::function<result<void>(const actors::supervisor&)> start;
  std::function<void()> ask_to_stop;
  std::function<void(time_point until)> stop; ///< what they have not answered by then, nobody waits for
};

/// Until it is told to stop. When a pipeline was recovered everything is opened again, at the same addresses.
int serve(config::settings settings, const registry& definitions, stop_signals& signals, const own_workers& workers) {
  for (;;) {
    auto started = actors::supervisor::start(settings, definitions, stop_signals::ask_restart);
    if (!started) {
      spdlog::critical("cannot start: {}", started.error().text());
      return started.error().code == errc::fenced ? actors::taken_over : 1;
    }
    auto running = std::move(*started);
    settings.http.listen = running->http().text();
    settings.cluster.listen = running->cluster().text();
    if (auto begun = workers.start(*running); !begun) {
      spdlog::critical("cannot start: {}", begun.error().text());
      return 1;
    }
    say_ready(*running);
    const auto what = signals.wait(
      [] { spdlog::warn("SIGHUP: nothing can be changed while running in this version; restart to reload"); });
    notify_service_manager(what == stop_signals::event::stop ? "STOPPING=1" : "RELOADING=1");
    signals.run_until_stopped(
      [&] {
        const auto until = std::chrono::steady_clock::now() + settings.node.drain_timeout;
        workers.ask_to_stop(); // meanwhile: nothing that they may yet answer is sent any more
        drain(*running, settings.node.drain_timeout);
        workers.stop(until);
        running.reset();
      },
      settings.node.drain_timeout + grace, what == stop_signals::event::stop ? 0 : 1); // 1: it is to be started again
    if (what == stop_signals::event::stop) return 0;
    spdlog::info("starting anew");
  }
}

} // namespace

int run_supervisor(const config::settings& settings, const registry& definitions, stop_signals& signals,
                   std::vector<std::string> worker_command, int configuration) {
  std::optional<own_worker> worker;
  const auto start = [&](const actors::supervisor& running) -> result<void> {
    if (settings.worker.slots == 0 || worker_command.empty()) return {};
    auto command = worker_command;
    command.insert(command.end(), {"--set", "cluster.supervisors=[\"" + reachable(running.cluster()) + "\"]", "--set",
                                   "node.name=" + settings.node.name.substr(0, longest_name) + "-worker"});
    worker.emplace(std::move(command), configuration);
    return {};
  };
  const auto ask_to_stop = [&] {
    if (worker) worker->ask_to_stop();
  };
  const auto stop = [&](time_point until) {
    if (worker) worker->stop(until);
    worker.reset();
  };
  return serve(settings, definitions, signals, {start, ask_to_stop, stop});
}

int run_both(const config::settings& settings, const registry& definitions, stop_signals& signals) {
  std::unique_ptr<worker_host> worker;
  const auto start = [&](const actors::supervisor& running) -> result<void> {
    auto inside = settings;
    inside.cluster.supervisors = {reachable(running.cluster())};
    auto made = worker_host::start(inside, definitions);
    if (!made) return tl::unexpected(made.error());
    worker = std::move(*made);
    return {};
  };
  const auto stop = [&](time_point until) {
    const auto left = until - std::chrono::steady_clock::now();
    worker->drain(std::clamp<duration>(left, duration::zero(), grace)); // it says farewell and does not count as dead
    worker.reset();
  };
  return serve(settings, definitions, signals, {start, [] {}, stop});
}

} // namespace reseq::apps

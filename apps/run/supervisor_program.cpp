#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

#include "actors/step_down.hpp"
#include "actors/supervisor.hpp"
#include "run/logging.hpp"
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
  std::function<result<void>(const actors::supervisor&, const configured&)> start;
  std::function<void()> ask_to_stop;
  std::function<void(time_point until)> stop; ///< what they have not answered by then, nobody waits for
};

/// A supervisor that is started anew listens where it did, also where the system had chosen the ports.
struct listening {
  std::string http;
  std::string cluster;
};

config::settings at(const listening& where, config::settings settings) {
  if (!where.http.empty()) settings.http.listen = where.http;
  if (!where.cluster.empty()) settings.cluster.listen = where.cluster;
  return settings;
}

listening kept(const listening& where, const config::settings& before, const config::settings& fresh) {
  return {before.http.listen == fresh.http.listen ? where.http : "",
          before.cluster.listen == fresh.cluster.listen ? where.cluster : ""};
}

/// What it runs with, and what it ran with before a SIGHUP, which it goes back to if it cannot start with the other.
class configurations {
public:
  explicit configurations(configured first) : now_(std::move(first)) {}

  [[nodiscard]] const configured& now() const { return now_; }
  [[nodiscard]] config::settings settings() const { return at(where_, now_.settings); }

  void listens(const actors::supervisor& running) {
    where_ = {running.http().text(), running.cluster().text()};
    before_.reset();
  }
  void take(configured fresh) {
    before_ = {now_, where_};
    where_ = kept(where_, now_.settings, fresh.settings);
    now_ = std::move(fresh);
  }
  bool go_back() {
    if (!before_) return false;
    std::tie(now_, where_) = *std::exchange(before_, std::nullopt);
    return true;
  }

private:
  configured now_;
  listening where_;
  std::optional<std::pair<configured, listening>> before_;
};

/// Until it is told to stop. When a pipeline was recovered, or the configuration has changed, everything is opened
/// again.
int serve(configured with, const configuration_reader& reader, const registry& definitions, stop_signals& signals,
          const own_workers& workers) {
  for (configurations have(std::move(with));;) {
    const auto settings = have.settings();
    auto started = actors::supervisor::start(settings, definitions, stop_signals::ask_restart);
    if (!started && started.error().code != errc::fenced && have.go_back()) {
      spdlog::error("cannot start with the changed configuration: {}; going on with the former",
                    started.error().text());
      start_logging(have.now().settings.log, reader.who().name.c_str());
      continue;
    }
    if (!started) {
      spdlog::critical("cannot start: {}", started.error().text());
      return started.error().code == errc::fenced ? actors::taken_over : 1;
    }
    auto running = std::move(*started);
    have.listens(*running);
    if (auto begun = workers.start(*running, have.now()); !begun) {
      spdlog::critical("cannot start: {}", begun.error().text());
      return 1;
    }
    say_ready(*running);
    std::optional<configured> fresh;
    const auto why = signals.wait([&] {
      if (const auto alone = running->known_here_alone(); !alone.empty()) {
        spdlog::error("the configuration is not read again: pipeline {} has diverged, and would forget what it gave; "
                      "recover it first",
                      *alone.begin());
        return false;
      }
      fresh = reader.read_again(have.now().settings);
      return fresh.has_value();
    });
    notify_service_manager(why == stop_signals::event::stop ? "STOPPING=1" : "RELOADING=1");
    const auto then = signals.run_until_stopped(
      why,
      [&] {
        const auto until = std::chrono::steady_clock::now() + settings.node.drain_timeout;
        workers.ask_to_stop(); // meanwhile: nothing that they may yet answer is sent any more
        drain(*running, settings.node.drain_timeout);
        workers.stop(until);
        running.reset();
      },
      settings.node.drain_timeout + grace);
    if (then == stop_signals::event::stop) return 0;
    if (fresh) have.take(std::move(*fresh));
    start_logging(have.now().settings.log, reader.who().name.c_str());
    spdlog::info("starting anew");
  }
}

} // namespace

int run_supervisor(configured with, const configuration_reader& reader, const registry& definitions,
                   stop_signals& signals, std::vector<std::string> worker_command) {
  std::optional<own_worker> worker;
  const auto start = [&](const actors::supervisor& running, const configured& now) -> result<void> {
    if (now.settings.worker.slots == 0 || worker_command.empty()) return {};
    auto command = worker_command;
    command.insert(command.end(), {"--set", "cluster.supervisors=[\"" + reachable(running.cluster()) + "\"]", "--set",
                                   "node.name=" + now.settings.node.name.substr(0, longest_name) + "-worker"});
    worker.emplace(std::move(command), now.copy ? now.copy->descriptor() : -1);
    return {};
  };
  const auto ask_to_stop = [&] {
    if (worker) worker->ask_to_stop();
  };
  const auto stop = [&](time_point until) {
    if (worker) worker->stop(until);
    worker.reset();
  };
  return serve(std::move(with), reader, definitions, signals, {start, ask_to_stop, stop});
}

int run_both(configured with, const configuration_reader& reader, const registry& definitions, stop_signals& signals) {
  std::unique_ptr<worker_host> worker;
  const auto start = [&](const actors::supervisor& running, const configured& now) -> result<void> {
    auto inside = now.settings;
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
  return serve(std::move(with), reader, definitions, signals, {start, [] {}, stop});
}

} // namespace reseq::apps

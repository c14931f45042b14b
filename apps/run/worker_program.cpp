#include <spdlog/spdlog.h>

#include "run/own_worker.hpp"
#include "run/programs.hpp"
#include "run/worker_host.hpp"

namespace reseq::apps {
namespace {

constexpr auto worker_grace = std::chrono::seconds{2};
constexpr int start_me_again = 75; // EX_TEMPFAIL

} // namespace

int run_worker(const config::settings& settings, const registry& definitions, stop_signals& signals) {
  end_with_parent();
  // Threads that hang cannot be ended, only their process.
  auto started = worker_host::start(settings, definitions, {tell_parent_it_works, [] { std::_Exit(start_me_again); }});
  if (!started) {
    spdlog::critical("cannot start: {}", started.error().text());
    return 1;
  }
  notify_service_manager("READY=1");
  signals.wait([] {
    spdlog::warn("SIGHUP: nothing of a worker can change while it runs: stop it, and start it again");
    return false;
  });
  signals.run_until_stopped(
    stop_signals::event::stop,
    [&] {
      spdlog::info("told to stop: what it has is answered first");
      if ((*started)->drain(settings.node.drain_timeout))
        spdlog::info("all that it had is answered");
      else
        spdlog::warn("node.drain_timeout is over; what still runs will be dispatched elsewhere");
      std::_Exit(0); // a transform that hangs must not keep the process
    },
    settings.node.drain_timeout + worker_grace);
  return 0;
}

} // namespace reseq::apps

/// SIGTERM and SIGINT as events of the main thread.
#pragma once

#include <functional>

#include "reseq/model/clock.hpp"

namespace reseq::apps {

/// Blocks the signals that `wait` takes, for this thread and all it starts: call before any other thread exists.
/// SIGPIPE is ignored from then on.
class stop_signals {
public:
  stop_signals();

  /// Waits for SIGTERM or SIGINT. Each SIGHUP before that runs `reload`.
  void wait(const std::function<void()>& reload);

  /// Runs `stop` on the calling thread. A further SIGTERM or SIGINT, or the end of `limit`, ends the process at once
  /// meanwhile: with exit code 1 and 0, respectively, since what is durable is safe and the rest comes again.
  void run_until_stopped(const std::function<void()>& stop, duration limit);
};

/// Tells the service manager (`NOTIFY_SOCKET`, see sd_notify(3)) `state`, for example "READY=1". Does nothing without
/// one.
void notify_service_manager(const char* state);

} // namespace reseq::apps

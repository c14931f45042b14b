/// SIGTERM and SIGINT, and a wish to start anew, as events of the main thread.
#pragma once

#include <functional>

#include "reseq/model/clock.hpp"

namespace reseq::apps {

/// Blocks the signals that `wait` takes, for this thread and all it starts: call before any other thread exists.
/// SIGPIPE is ignored from then on.
class stop_signals {
public:
  stop_signals();

  enum class event { stop, restart };

  /// Waits for SIGTERM or SIGINT, or for `ask_restart`, or for a SIGHUP on which `reload` answers that there is
  /// something to start anew with.
  event wait(const std::function<bool()>& reload);

  /// Makes `wait` return. Any thread.
  static void ask_restart();

  /// Runs `stop` on the calling thread because of `why`, and answers what is to be done then: that, or `event::stop` if
  /// a SIGTERM or SIGINT has come meanwhile. One that comes more than 300 ms after the first ends the process at once
  /// with exit code 1, and so does the end of `limit`, with 0 if it was to stop: what is durable is safe, and the rest
  /// comes again. A SIGHUP is left for the next `wait`.
  event run_until_stopped(event why, const std::function<void()>& stop, duration limit);
};

/// Tells the service manager (`NOTIFY_SOCKET`, see sd_notify(3)) `state`, for example "READY=1". Does nothing without
/// one.
void notify_service_manager(const char* state);

} // namespace reseq::apps

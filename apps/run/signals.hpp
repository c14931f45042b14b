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

  /// Runs `stop` on the calling thread. A SIGTERM or SIGINT that comes more than 300 ms later, or the end of `limit`,
  /// ends the process at once meanwhile, since what is durable is safe and the rest comes again: with exit code 1 and
  /// `code_if_late`.
  void run_until_stopped(const std::function<void()>& stop, duration limit, int code_if_late = 0);
};

/// Tells the service manager (`NOTIFY_SOCKET`, see sd_notify(3)) `state`, for example "READY=1". Does nothing without
/// one.
void notify_service_manager(const char* state);

} // namespace reseq::apps

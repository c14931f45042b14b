/// The supervisor's own worker process: a transform that kills its process takes nobody else with it.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <sys/types.h>

#include "reseq/model/clock.hpp"

namespace reseq::apps {

/// Starts a program, and starts it again whenever it ends: at once if it had begun to work, however soon that killed
/// it, else with a growing pause. One that has worked and stands still is killed within twenty seconds.
class own_worker {
public:
  /// `command[0]` is the program's path. The child gets this process's environment, and one end of a connection, named
  /// by RESEQ_PARENT_PIPE, that ends with this process and on which it says that it works. `configuration`: a
  /// descriptor of what it finds as `parents_configuration`, or -1; it stays the caller's.
  own_worker(std::vector<std::string> command, int configuration);

  /// Kills the child if it still runs.
  ~own_worker();
  own_worker(const own_worker&) = delete;
  own_worker& operator=(const own_worker&) = delete;

  /// Asks the child to stop (SIGTERM): it takes nothing more and ends once it has answered what it has.
  void ask_to_stop();
  /// Kills it if it still runs after two seconds, or at `until`; after `ask_to_stop`.
  void stop(time_point until);

private:
  void keep_running();
  [[nodiscard]] bool wait_for_end(pid_t child) const;
  [[nodiscard]] bool child_works() const;
  [[nodiscard]] pid_t start() const;

  std::vector<std::string> command_;
  int configuration_;
  int pipe_[2] = {-1, -1};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  pid_t child_ = -1; ///< guarded by `mutex_`; not yet waited for
  std::thread thread_;
};

/// For the child: it works, that is, a supervisor has let it in. To be said again and again. Does nothing without
/// RESEQ_PARENT_PIPE.
void tell_parent_it_works();

/// For the child: ends the process as soon as the parent has gone. Does nothing without RESEQ_PARENT_PIPE.
void end_with_parent();

/// For the child: where the configuration file can be read as the parent has read it; empty if that has none, or this
/// is no child.
std::string parents_configuration();

} // namespace reseq::apps

/// The threads of a worker process that run transforms: at most one per slot.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace reseq {

/// Starts a thread only when a job finds none idle, and keeps it for later jobs. All operations may be called from
/// any thread, jobs included; the destructor must not be called by a job.
class executor {
public:
  /// `slots`: at least 1; how many jobs run at once.
  explicit executor(std::size_t slots);

  /// Waits for the jobs that were taken, unless `abandon` was called.
  ~executor();

  executor(const executor&) = delete;
  executor& operator=(const executor&) = delete;

  /// Takes a slot for `job` and runs it on a thread of the pool, then gives the slot back, and then calls `answer` on
  /// the same thread: whoever learns by the answer that a slot is free can fill it at once. Neither may throw; `answer`
  /// must not block, since the next job may wait for its thread.
  ///
  /// False, with nothing taken, when no slot is free, after `abandon`, or when the system gives no thread.
  [[nodiscard]] bool run(std::function<void()> job, std::function<void()> answer = {});

  /// For a process about to exit: from now on nobody waits for jobs that hang. They keep what they captured; jobs
  /// that no thread has begun are dropped. What running jobs use must live as long as the process.
  void abandon();

  [[nodiscard]] std::size_t slots() const { return slots_; }

  /// Slots taken at this moment.
  [[nodiscard]] std::size_t busy() const;

  /// Threads started and not abandoned; never more than `slots`.
  [[nodiscard]] std::size_t threads() const;

private:
  struct shared;

  std::size_t slots_;
  std::shared_ptr<shared> shared_; ///< abandoned threads keep it alive
};

} // namespace reseq

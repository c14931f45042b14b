/// The threads of a worker process that run transforms: at most one per slot.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace reseq {

/// Starts a thread only when a task finds none idle, and keeps it for later tasks. All operations may be called from
/// any thread, by tasks, too; the destructor must not be called by a task.
class executor {
public:
  class task {
  public:
    task() = default;
    virtual ~task() = default;
    task(const task&) = delete;
    task& operator=(const task&) = delete;

    /// Occupies a slot meanwhile. Must not throw.
    virtual void work() = 0;

    /// Called on the same thread once the slot is free again: whoever learns by it that one is free can fill it at
    /// once. Must not throw, nor block, since the next task may wait for the thread.
    virtual void finish() {}
  };

  /// `slots`: at least 1; how many tasks run at once.
  explicit executor(std::size_t slots);

  /// Waits for the tasks that were taken, unless `abandon` was called.
  ~executor();

  executor(const executor&) = delete;
  executor& operator=(const executor&) = delete;

  /// Takes a slot for each of `tasks`, in their order, and runs it on a thread of the pool, which destroys it after
  /// `finish`. How many were taken; the others, and those alone, are left as they were: no slot is free for them, or
  /// `abandon` was called, or the system gives no thread.
  [[nodiscard]] std::size_t run(std::span<std::unique_ptr<task>> tasks);

  /// For a process about to exit: from now on nobody waits for tasks that hang. They stay alive; tasks that no thread
  /// has begun are dropped. What running tasks use must live as long as the process.
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

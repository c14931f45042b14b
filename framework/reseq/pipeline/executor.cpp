#include "reseq/pipeline/executor.hpp"

#include <atomic>
#include <cassert>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace reseq {

struct executor::shared {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::unique_ptr<task>>
    waiting; ///< taken, and not begun; at most `slots`, and only until a thread is there
  std::vector<std::thread> threads;
  std::size_t idle = 0;            ///< threads that wait, or were woken and have not yet looked
  std::atomic<std::size_t> busy{}; ///< grows under the mutex only
  bool closing = false;
  bool waking = false; ///< a thread was woken and has not looked yet

  /// Whether somebody has to be woken now. One at a time: who takes a task wakes the next if more wait, so that a burst
  /// of tasks costs no more wake-ups than it has use for threads.
  bool wake_one() {
    if (waking || idle == 0 || waiting.empty()) return false;
    return waking = true;
  }

  void work();
  bool grow(const std::shared_ptr<shared>& self, std::size_t most);
};

void executor::shared::work() {
  std::unique_lock lock(mutex);
  for (;;) {
    ++idle;
    while (!closing && waiting.empty()) {
      changed.wait(lock);
      waking = false;
    }
    --idle;
    if (waiting.empty()) return;
    auto now = std::move(waiting.front());
    waiting.pop_front();
    const bool wake = wake_one();
    lock.unlock();
    if (wake) changed.notify_one();
    now->work();
    --busy;
    now->finish();
    now.reset();
    lock.lock();
  }
}

/// Another thread, if there are more tasks than idle ones and fewer than `most`. False if the system gives none.
bool executor::shared::grow(const std::shared_ptr<shared>& self, std::size_t most) {
  if (waiting.size() <= idle || threads.size() >= most) return true;
  try {
    threads.emplace_back([self] { self->work(); });
  } catch (const std::system_error&) {
    return false;
  }
  return true;
}

executor::executor(std::size_t slots) : slots_(slots), shared_(std::make_shared<shared>()) {
  assert(slots > 0);
  shared_->threads.reserve(slots);
}

executor::~executor() {
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->closing = true;
    threads.swap(shared_->threads);
  }
  shared_->changed.notify_all();
  for (auto& thread : threads) thread.join();
}

std::size_t executor::run(std::span<std::unique_ptr<task>> tasks) {
  std::size_t taken = 0;
  std::unique_lock lock(shared_->mutex);
  for (; taken < tasks.size() && !shared_->closing && shared_->busy < slots_; ++taken) {
    shared_->waiting.push_back(std::move(tasks[taken]));
    if (!shared_->grow(shared_, slots_)) {
      tasks[taken] = std::move(shared_->waiting.back());
      shared_->waiting.pop_back();
      break;
    }
    ++shared_->busy;
  }
  const bool wake = shared_->wake_one();
  lock.unlock();
  if (wake) shared_->changed.notify_one();
  return taken;
}

void executor::abandon() {
  std::deque<std::unique_ptr<task>> dropped;
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->closing = true;
    dropped.swap(shared_->waiting);
    shared_->busy -= dropped.size();
    for (auto& thread : shared_->threads) thread.detach();
    shared_->threads.clear();
  }
  shared_->changed.notify_all();
}

std::size_t executor::busy() const { return shared_->busy; }

std::size_t executor::threads() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->threads.size();
}

} // namespace reseq

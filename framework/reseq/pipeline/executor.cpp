#include "reseq/pipeline/executor.hpp"

#include <cassert>
#include <condition_variable>
#include <deque>
#include <system_error>
#include <utility>

namespace reseq {

struct executor::shared {
  struct task {
    std::function<void()> job;
    std::function<void()> answer;
  };

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<task> waiting; ///< taken, and not begun; at most `slots`, and only until a thread is there
  std::vector<std::thread> threads;
  std::size_t idle = 0; ///< threads that wait, or were woken and have not yet looked
  std::size_t busy = 0;
  bool closing = false;
  bool waking = false; ///< a thread was woken and has not looked yet

  /// Whether somebody has to be woken now. One at a time: who takes a job wakes the next if more wait, so that a burst
  /// of jobs costs no more wake-ups than it has use for threads.
  bool wake_one() {
    if (waking || idle == 0 || waiting.empty()) return false;
    return waking = true;
  }

  void work();
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
    now.job();
    now.job = nullptr;
    lock.lock();
    --busy;
    lock.unlock();
    if (now.answer) now.answer();
    now.answer = nullptr;
    lock.lock();
  }
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

bool executor::run(std::function<void()> job, std::function<void()> answer) {
  std::unique_lock lock(shared_->mutex);
  if (shared_->closing || shared_->busy == slots_) return false;
  shared_->waiting.push_back({std::move(job), std::move(answer)});
  if (shared_->waiting.size() > shared_->idle && shared_->threads.size() < slots_) {
    try {
      shared_->threads.emplace_back([state = shared_] { state->work(); });
    } catch (const std::system_error&) {
      shared_->waiting.pop_back();
      return false;
    }
  }
  ++shared_->busy;
  const bool wake = shared_->wake_one();
  lock.unlock();
  if (wake) shared_->changed.notify_one();
  return true;
}

void executor::abandon() {
  std::deque<shared::task> dropped;
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

std::size_t executor::busy() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->busy;
}

std::size_t executor::threads() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->threads.size();
}

} // namespace reseq

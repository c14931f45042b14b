#include "reseq/store/postgres/deadline.hpp"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace reseq::store::postgres {

/// Thousands of transactions a second arm and disarm, and hardly one is ever cut: what is disarmed, or armed for later,
/// leaves the thread asleep until the time that it was to wake up at, when it looks at all of them.
class deadline::watch {
public:
  /// Never ends: who waits for a server may still do so while the process ends.
  static watch& of_process() {
    static auto* const one = new watch;
    return *one;
  }

  void add(deadline& one) {
    const std::lock_guard hold(mutex_);
    all_.push_back(&one);
  }

  void remove(deadline& one) {
    const std::lock_guard hold(mutex_);
    std::erase(all_, &one);
  }

  void arm(deadline& one, time_point until) {
    const std::lock_guard hold(mutex_);
    one.until_ = until;
    if (until >= wakes_) return;
    wakes_ = until;
    earlier_.notify_one();
  }

  bool disarm(deadline& one) {
    const std::lock_guard hold(mutex_);
    one.until_ = time_point::max();
    return one.passed_;
  }

  bool has_passed(const deadline& one) {
    const std::lock_guard hold(mutex_);
    return one.passed_;
  }

private:
  watch() {
    std::thread([this] { run(); }).detach();
  }

  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      if (wakes_ == time_point::max())
        earlier_.wait(lock);
      else
        earlier_.wait_until(lock, wakes_);
      look(std::chrono::steady_clock::now());
    }
  }

  /// While nobody can disarm what is cut, and begin the next transaction.
  void look(time_point now) {
    wakes_ = time_point::max();
    for (auto* one : all_) {
      if (one->until_ <= now) cut(*one);
      wakes_ = std::min(wakes_, one->until_);
    }
  }

  static void cut(deadline& one) {
    ::shutdown(one.socket_, SHUT_RDWR);
    one.until_ = time_point::max();
    one.passed_ = true;
  }

  std::mutex mutex_;
  std::condition_variable earlier_;
  std::vector<deadline*> all_;
  time_point wakes_ = time_point::max(); ///< the thread, at the latest
};

deadline::deadline(int socket) : socket_(::fcntl(socket, F_DUPFD_CLOEXEC, 0)) {
  if (socket_ < 0) throw std::system_error(errno, std::generic_category(), "a connection cannot be watched");
  watch::of_process().add(*this);
}

deadline::~deadline() {
  watch::of_process().remove(*this);
  ::close(socket_);
}

void deadline::arm(std::chrono::nanoseconds limit) {
  watch::of_process().arm(*this, std::chrono::steady_clock::now() + limit);
}

bool deadline::disarm() { return watch::of_process().disarm(*this); }

bool deadline::passed() const { return watch::of_process().has_passed(*this); }

} // namespace reseq::store::postgres

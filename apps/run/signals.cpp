#include "run/signals.hpp"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <thread>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <spdlog/spdlog.h>

namespace reseq::apps {
namespace {

/// Who stops a program often signals it and its group (as timeout(1) does), or a terminal does so besides.
constexpr std::chrono::milliseconds same_wish{300};

sigset_t waited_for() {
  sigset_t set;
  sigemptyset(&set);
  for (const auto one : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&set, one);
  return set;
}

/// Signals that come while everything stops.
class stopping_watch {
public:
  using event = stop_signals::event;

  stopping_watch(event why, time_point end) : wanted_(why), end_(end) {
    if (why == event::stop) stop_wanted_since_ = std::chrono::steady_clock::now();
  }

  /// Waits a moment for one.
  void look() {
    const auto set = waited_for();
    const timespec moment{0, 20'000'000};
    const auto got = sigtimedwait(&set, nullptr, &moment);
    const auto now = std::chrono::steady_clock::now();
    if (got == SIGTERM || got == SIGINT) ask_to_stop(now);
    if (got == SIGHUP) reload_wanted_ = true;
    if (now < end_) return;
    spdlog::warn("stopping took too long; what was not confirmed will be delivered again");
    std::_Exit(wanted_ == event::stop ? 0 : 1); // 1: it is to be started again
  }

  [[nodiscard]] event wanted() const { return wanted_; }
  [[nodiscard]] bool reload_wanted() const { return reload_wanted_ && wanted_ == event::restart; }

private:
  void ask_to_stop(time_point now) {
    if (!stop_wanted_since_) {
      spdlog::info("it is to stop: nothing is started anew");
      stop_wanted_since_ = now;
      wanted_ = event::stop;
    } else if (now - *stop_wanted_since_ > same_wish) {
      spdlog::warn("a second signal: stopping at once");
      std::_Exit(1);
    }
  }

  event wanted_;
  time_point end_;
  std::optional<time_point> stop_wanted_since_;
  bool reload_wanted_ = false;
};

} // namespace

stop_signals::stop_signals() {
  const auto set = waited_for();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

stop_signals::event stop_signals::wait(const std::function<bool()>& reload) {
  const auto set = waited_for();
  for (;;) {
    int got = 0;
    if (sigwait(&set, &got) != 0) continue;
    if (got == SIGUSR1) return event::restart;
    if (got != SIGHUP) return event::stop;
    if (reload()) return event::restart;
  }
}

void stop_signals::ask_restart() { kill(getpid(), SIGUSR1); }

stop_signals::event stop_signals::run_until_stopped(event why, const std::function<void()>& stop, duration limit) {
  std::atomic<bool> stopped{false};
  stopping_watch watch{why, std::chrono::steady_clock::now() + limit};
  std::thread watcher{[&] {
    while (!stopped) watch.look();
  }};
  stop(); // on this thread: an actor system can only be destroyed by the thread that made it
  stopped = true;
  watcher.join();
  if (watch.reload_wanted()) kill(getpid(), SIGHUP);
  return watch.wanted();
}

void notify_service_manager(const char* state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  const auto size = path ? std::strlen(path) : 0;
  if (size == 0 || size >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, size);
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0'; // an abstract socket
  const auto fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size);
  if (sendto(fd, state, std::strlen(state), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), length) < 0)
    spdlog::warn("the service manager could not be told \"{}\": {}", state, std::strerror(errno));
  close(fd);
}

} // namespace reseq::apps

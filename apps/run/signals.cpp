#include "run/signals.hpp"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
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

void stop_signals::run_until_stopped(const std::function<void()>& stop, duration limit, int code_if_late) {
  std::atomic<bool> stopped{false};
  const auto start = std::chrono::steady_clock::now();
  std::thread watcher{[&stopped, code_if_late, start, end = start + limit] {
    const auto set = waited_for();
    const timespec moment{0, 20'000'000};
    while (!stopped) {
      const auto got = sigtimedwait(&set, nullptr, &moment);
      const bool another = std::chrono::steady_clock::now() - start > same_wish;
      if ((got == SIGTERM || got == SIGINT) && another) {
        spdlog::warn("a second signal: stopping at once");
        std::_Exit(1);
      }
      if (std::chrono::steady_clock::now() >= end) {
        spdlog::warn("stopping took too long; what was not confirmed will be delivered again");
        std::_Exit(code_if_late);
      }
    }
  }};
  stop(); // on this thread: an actor system can only be destroyed by the thread that made it
  stopped = true;
  watcher.join();
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

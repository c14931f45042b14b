#include "run/own_worker.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <spdlog/spdlog.h>

namespace reseq::apps {
namespace {

using namespace std::chrono_literals;

constexpr auto parent_pipe = "RESEQ_PARENT_PIPE";
constexpr int child_pipe_fd = 3;
constexpr int child_configuration_fd = 4;
constexpr auto shortest_pause = 20ms;
constexpr auto longest_pause = 2000ms;
constexpr auto longest_stop = 2s;
/// A worker that a supervisor has let in says so several times a second.
constexpr auto longest_silence = 10s;

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  list.reserve(texts.size() + 1);
  for (auto& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

std::string describe(int status) {
  if (WIFSIGNALED(status)) return std::string{"was killed by signal "} + strsignal(WTERMSIG(status));
  return "ended with code " + std::to_string(WEXITSTATUS(status));
}

} // namespace

own_worker::own_worker(std::vector<std::string> command, int configuration)
  : command_(std::move(command)), configuration_(configuration) {
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pipe_) != 0)
    spdlog::warn("no connection to the worker: {}", std::strerror(errno));
  thread_ = std::thread{[this] { keep_running(); }};
}

own_worker::~own_worker() {
  ask_to_stop();
  stop({});
  thread_.join();
  for (const auto fd : pipe_) close(fd);
}

void own_worker::ask_to_stop() {
  const std::lock_guard hold{mutex_};
  if (std::exchange(stopping_, true)) return;
  if (child_ > 0) kill(child_, SIGTERM);
  changed_.notify_all();
}

void own_worker::stop(time_point until) {
  std::unique_lock hold{mutex_};
  const auto longest = std::chrono::steady_clock::now() + longest_stop;
  changed_.wait_until(hold, std::min(until, longest), [this] { return child_ <= 0; });
  if (child_ > 0) kill(child_, SIGKILL);
}

pid_t own_worker::start() const {
  auto arguments = command_;
  std::vector<std::string> variables;
  for (auto** one = environ; *one; ++one)
    if (!std::string_view{*one}.starts_with(std::string{parent_pipe} + "=")) variables.emplace_back(*one);
  variables.push_back(std::string{parent_pipe} + "=" + std::to_string(child_pipe_fd));

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, pipe_[0], child_pipe_fd);
  const bool configured = configuration_ >= 0;
  if (configured) posix_spawn_file_actions_adddup2(&files, configuration_, child_configuration_fd);
  // Sockets lack O_CLOEXEC: a worker that inherited them would keep the port, and connections that were closed.
  posix_spawn_file_actions_addclosefrom_np(&files, (configured ? child_configuration_fd : child_pipe_fd) + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  // In a process group of its own: Ctrl-C in a terminal is for the supervisor, which then tells its worker.
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  pid_t child = -1;
  const auto failed = posix_spawn(&child, command_.front().c_str(), &files, &attributes, pointers(arguments).data(),
                                  pointers(variables).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (failed == 0) return child;
  spdlog::error("cannot start {}: {}", command_.front(), std::strerror(failed));
  return -1;
}

void own_worker::keep_running() {
  auto pause = shortest_pause;
  std::unique_lock hold{mutex_};
  while (!stopping_) {
    bool worked = false;
    child_ = start();
    if (child_ > 0) {
      const auto child = child_;
      hold.unlock();
      worked = wait_for_end(child);
      hold.lock();
      int status = 0;
      waitpid(child, &status, 0); // only now may its number mean another process
      child_ = -1;
      changed_.notify_all();
      if (stopping_) return;
      spdlog::warn("the supervisor's own worker {}; starting it again", describe(status));
    }
    pause = worked ? shortest_pause : std::min<std::chrono::milliseconds>(pause * 2, longest_pause);
    changed_.wait_for(hold, pause, [this] { return stopping_; });
  }
}

/// Until the child has ended, and is still to be waited for. One that has worked and says nothing any more is stopped
/// or stuck, and would stay so: it is killed. Whether it has worked.
bool own_worker::wait_for_end(pid_t child) const {
  pollfd ended{static_cast<int>(syscall(SYS_pidfd_open, child, 0)), POLLIN, 0}; // glibc 2.36 has no C++ header for it
  bool worked = false;
  bool killed = ended.fd < 0; // then it cannot be watched
  while (!killed) {
    const auto found = poll(&ended, 1, static_cast<int>(std::chrono::milliseconds{longest_silence}.count()));
    if (found > 0) break;
    if (found < 0) continue;
    const bool works = child_works();
    killed = worked && !works;
    worked = worked || works;
    if (!killed) continue;
    spdlog::error("the supervisor's own worker has not moved for {} s: it is killed", longest_silence.count());
    kill(child, SIGKILL);
  }
  if (ended.fd >= 0) close(ended.fd);
  siginfo_t about{};
  while (waitid(P_PID, static_cast<id_t>(child), &about, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
  }
  return child_works() || worked;
}

/// Whether it has said so since this was last asked.
bool own_worker::child_works() const {
  char words[64];
  bool any = false;
  while (recv(pipe_[1], words, sizeof words, MSG_DONTWAIT) > 0) any = true;
  return any;
}

void tell_parent_it_works() {
  if (const char* fd = std::getenv(parent_pipe)) send(std::atoi(fd), "w", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void end_with_parent() {
  const char* fd = std::getenv(parent_pipe);
  if (!fd) return;
  std::thread{[pipe = std::atoi(fd)] {
    char nothing = 0;
    while (read(pipe, &nothing, 1) < 0 && errno == EINTR) {
    }
    std::_Exit(1);
  }}.detach();
}

std::string parents_configuration() {
  const bool is_there = std::getenv(parent_pipe) && fcntl(child_configuration_fd, F_GETFD) >= 0;
  return is_there ? "/proc/self/fd/" + std::to_string(child_configuration_fd) : std::string{};
}

} // namespace reseq::apps

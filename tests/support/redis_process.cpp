#include "redis_process.hpp"

#include <array>
#include <stdexcept>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace reseq::test {

namespace {

[[noreturn]] void run_server(const std::vector<std::string>& arguments, int output) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  std::vector<char*> argv{const_cast<char*>("redis-server")};
  for (const auto& one : arguments) argv.push_back(const_cast<char*>(one.c_str()));
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  constexpr std::string_view missing = "redis-server cannot be run: apps/setup/install-packages test installs it\n";
  static_cast<void>(!write(STDOUT_FILENO, missing.data(), missing.size()));
  _exit(127);
}

bool is_ready(std::string_view said) {
  return said.find("eady to accept connections") != std::string_view::npos ||
         said.find("# +monitor master") != std::string_view::npos; // what a sentinel says
}

} // namespace

redis_process::redis_process(std::vector<std::string> arguments) {
  std::signal(SIGPIPE, SIG_IGN); // as the programs do
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) throw std::runtime_error("no pipe");
  pid_ = fork();
  if (pid_ == 0) {
    close(ends[0]);
    run_server(arguments, ends[1]);
  }
  close(ends[1]);
  output_ = ends[0];
  std::string said;
  while (!is_ready(said)) {
    std::array<char, 4096> piece{};
    const auto got = read(output_, piece.data(), piece.size());
    if (got <= 0) throw std::runtime_error("redis-server did not start: " + said);
    said.append(piece.data(), static_cast<std::size_t>(got));
  }
}

redis_process::~redis_process() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  close(output_);
}

void redis_process::send(int signal) const {
  kill(pid_, signal);
  int status = 0;
  if (signal == SIGSTOP) waitpid(pid_, &status, WUNTRACED); // it has stopped when this returns
}

std::uint16_t free_port() {
  const int probe = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(at);
  if (bind(probe, reinterpret_cast<sockaddr*>(&at), size) != 0 ||
      getsockname(probe, reinterpret_cast<sockaddr*>(&at), &size) != 0)
    throw std::runtime_error("no free port");
  close(probe);
  return ntohs(at.sin_port);
}

} // namespace reseq::test

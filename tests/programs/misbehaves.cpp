// A pipeline whose transforms misbehave on payloads that say so, and on no other.
#include <chrono>
#include <csignal>
#include <ctime>
#include <string>
#include <string_view>
#include <thread>

#include <unistd.h>

#include <reseq/reseq.hpp>

namespace {

/// As a process that dumps a large core: silent for longer than that is borne, then gone.
void freeze() {
  const auto frozen = getpid();
  if (fork() == 0) {
    const timespec dumping{1, 500'000'000};
    nanosleep(&dumping, nullptr);
    kill(frozen, SIGKILL);
    _exit(0);
  }
  std::raise(SIGSTOP);
}

std::string obey(const reseq::message& m) {
  const std::string_view what = m.payload();
  if (what.starts_with("segfault")) {
    std::signal(SIGSEGV, SIG_DFL);
    std::raise(SIGSEGV);
  }
  if (what.starts_with("freeze")) freeze();
  if (what.starts_with("hang"))
    for (;;) std::this_thread::sleep_for(std::chrono::hours{1});
  return std::string{what};
}

} // namespace

int main(int argc, char** argv) {
  reseq::registry known;
  if (!known.add(reseq::transform{"obey", obey})) return 1;
  return reseq::run(argc, argv, known);
}

// A pipeline whose transforms misbehave on payloads that say so, and on no other.
#include <chrono>
#include <csignal>
#include <thread>

#include <reseq/reseq.hpp>

namespace {

std::string obey(const reseq::message& m) {
  const std::string_view what = m.payload();
  if (what.starts_with("segfault")) {
    std::signal(SIGSEGV, SIG_DFL);
    std::raise(SIGSEGV);
  }
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

// What ordering and dispatch cost a message, in memory and on one thread, as the backlog, the destinations and the
// workers' slots grow: each beside the smallest, alternating in one run.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "memory_shard.hpp"
#include "quantile.hpp"
#include "report.hpp"

namespace {

using namespace reseq;
using namespace reseq::bench;

struct options {
  std::size_t messages = 100'000;
  int rounds = 9;
};

struct shape {
  std::string name;
  memory_shard_layout layout;
  std::uint32_t slots = 256;
};

double cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

/// A shard that is kept busy with batches of the same size whatever its shape.
class subject {
public:
  explicit subject(const shape& of) : shard_(of.layout) {
    shard_.add_worker(of.slots);
    shard_.perform();
  }

  /// Microseconds a message, over about so many.
  double measure(std::size_t messages) {
    const auto before = shard_.delivered();
    const auto start = cpu_us();
    while (shard_.delivered() - before < messages) {
      if (shard_.accepted() - shard_.delivered() < in_flight_ + standing_) shard_.accept(batch);
      shard_.perform();
      for (const auto& copy : shard_.assign())
        shard_.answer(copy.worker, copy.id, content_ptr{shard_.message_at(copy.at), &body(copy)});
      shard_.perform();
    }
    return (cpu_us() - start) / static_cast<double>(shard_.delivered() - before);
  }

private:
  static constexpr std::size_t batch = 256;

  const content& body(const core::dispatch& copy) const { return shard_.message_at(copy.at)->body(); }

  memory_shard shard_;
  std::uint64_t in_flight_ = batch;
  std::uint64_t standing_ = shard_.accepted();
};

void compare(const options& chosen, const std::string& what, const shape& small, const shape& large) {
  subject a(small);
  subject b(large);
  a.measure(chosen.messages / 10);
  b.measure(chosen.messages / 10);
  std::vector<double> small_us;
  std::vector<double> large_us;
  std::vector<double> ratios;
  for (int round = 0; round < chosen.rounds; ++round) {
    small_us.push_back(a.measure(chosen.messages));
    large_us.push_back(b.measure(chosen.messages));
    ratios.push_back(large_us.back() / small_us.back());
  }
  std::printf("%-14s %-10s %10.2f   %-10s %10.2f %8.2f\n", what.c_str(), small.name.c_str(), median(small_us),
              large.name.c_str(), median(large_us), median(ratios));
  std::fflush(stdout);
  report({"cost a message, " + what + " " + large.name, rounded(median(large_us), 2) + " us",
          rounded(median(small_us), 2) + " us (" + small.name + ")", rounded(median(ratios), 2), "under 1.2"});
}

void run(const options& chosen) {
  std::printf("us of CPU a message; median of %d rounds of %zu messages\n\n", chosen.rounds, chosen.messages);
  std::printf("%-14s %-10s %10s   %-10s %10s %8s\n", "", "smallest", "us", "largest", "us", "ratio");
  compare(chosen, "backlog", {"1000", {1, 256, 256, 1000}}, {"10000000", {1, 256, 256, 10'000'000}});
  compare(chosen, "destinations", {"1", {1, 256, 1, 0}}, {"10000", {10'000, 256, 1, 0}});
  compare(chosen, "slots", {"1", {1, 4096, 256, 0}, 1}, {"1000", {1, 4096, 256, 0}, 1000});
}

} // namespace

int main(int argc, char** argv) {
  options chosen;
  CLI::App app("Whether a message costs the same however much there is around it.", "bench-flat");
  app.add_option("--messages", chosen.messages, "in each round (default 100000)")->check(CLI::Range(1000, 100'000'000));
  app.add_option("--rounds", chosen.rounds, "the medians count (default 9)")->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  run(chosen);
}

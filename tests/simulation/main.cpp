// Runs schedules: one by its seed, or fresh ones for a while. See README.md.
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include "schedule.hpp"

namespace {

using namespace reseq::simulation;
using clock_type = std::chrono::steady_clock;

constexpr auto shrink_limit = std::chrono::seconds{20};
constexpr unsigned schedule_limit_seconds = 20;

constexpr auto usage = R"(usage: test-simulation [OPTION]…

Runs a whole shard through random schedules of faults and checks what its receivers got.

  --seconds S   fresh schedules for S seconds (default: 20; 180 when RESEQ_TEST_FULL is set)
  --seeds N     N fresh schedules
  --base N      the first seed of these (default: a random one); the others follow it
  --seed N      one schedule, told sentence by sentence
  --shrink      with --seed: makes it as small as it gets while it still fails
  --brief       tells only the seed and the promise when a schedule fails

Prints the first failing seed and its story, and exits with 1.
)";

bool is_set(const char* name) {
  const auto* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

struct options {
  double seconds = is_set("RESEQ_TEST_FULL") ? 180 : 20;
  std::optional<std::uint64_t> seeds;
  std::optional<std::uint64_t> base;
  std::optional<std::uint64_t> seed;
  bool shrink = false;
  bool brief = false;
  bool help = false;
};

std::optional<options> read_options(int argc, char** argv) {
  options out;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--shrink") {
      out.shrink = true;
      continue;
    }
    if (name == "--brief") {
      out.brief = true;
      continue;
    }
    if (name == "--help") {
      out.help = true;
      continue;
    }
    const std::string_view value = i + 1 < argc ? argv[++i] : "";
    std::uint64_t number = 0;
    const auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (failed != std::errc{} || end != value.data() + value.size()) return std::nullopt;
    if (name == "--seconds")
      out.seconds = static_cast<double>(number);
    else if (name == "--seeds")
      out.seeds = number;
    else if (name == "--base")
      out.base = number;
    else if (name == "--seed")
      out.seed = number;
    else
      return std::nullopt;
  }
  return out;
}

/// Names the schedule that a crash, or an endless loop, happened in; only what a signal handler may do.
char running[64];

void crashed(int signal) {
  const auto* how = signal == SIGALRM ? " does not end\n" : " crashes\n";
  (void)!write(STDOUT_FILENO, running, std::strlen(running));
  (void)!write(STDOUT_FILENO, how, std::strlen(how));
  _exit(1);
}

void watch() {
  for (const int signal : {SIGSEGV, SIGABRT, SIGFPE, SIGBUS, SIGALRM}) std::signal(signal, crashed);
}

void about_to_run(std::uint64_t seed) {
  std::snprintf(running, sizeof running, "seed %llu", static_cast<unsigned long long>(seed));
}

void tell(const outcome& told) {
  for (const auto& line : told.story) std::cout << "  " << line << '\n';
  std::cout << (told.broken.empty() ? "every promise was kept" : told.broken) << '\n';
}

void report(std::uint64_t seed, const outcome& failing, bool brief) {
  std::cout << "seed " << seed << " fails: " << failing.broken << std::endl;
  if (brief) return;
  alarm(0);
  const auto smallest = shrink(failing, shrink_limit);
  std::cout << "made smaller, from " << failing.choices.size() << " choices to " << smallest.size() << ":\n";
  tell(run_tape(smallest, true));
  std::cout << "again: test-simulation --seed " << seed << " [--shrink]\n";
}

int run_one(std::uint64_t seed, bool smaller) {
  about_to_run(seed);
  const auto whole = run_seed(seed, true);
  if (smaller && !whole.broken.empty())
    report(seed, whole, false);
  else
    tell(whole);
  return whole.broken.empty() ? 0 : 1;
}

/// For the table that `tests/run --full` prints.
void note_figure(double schedules_per_second, std::uint64_t base) {
  if (!is_set("RESEQ_TEST_FIGURES")) return;
  std::ofstream table{std::getenv("RESEQ_TEST_FIGURES"), std::ios::app};
  table << "simulated schedules per second\t" << static_cast<std::uint64_t>(schedules_per_second)
        << "\ttest-simulation\t" << base << '\n';
}

int run_many(const options& with) {
  const auto base = with.base ? *with.base : (std::uint64_t{std::random_device{}()} << 16U);
  std::cout << "seeds from " << base << " on" << std::endl;
  const auto start = clock_type::now();
  const auto passed = [&] { return std::chrono::duration<double>(clock_type::now() - start).count(); };
  std::uint64_t schedules = 0;
  std::uint64_t steps = 0;
  const auto figures = [&] {
    const auto seconds = std::max(passed(), 1e-9);
    std::cout << schedules << " schedules in " << seconds << " s: " << static_cast<double>(schedules) / seconds
              << " schedules/s, " << static_cast<double>(steps) / seconds << " steps/s\n";
  };
  while (with.seeds ? schedules < *with.seeds : passed() < with.seconds) {
    const auto seed = base + schedules;
    about_to_run(seed);
    if (schedules % 256 == 0) alarm(schedule_limit_seconds);
    const auto done = run_seed(seed);
    ++schedules;
    steps += done.steps;
    if (done.broken.empty()) continue;
    figures();
    report(seed, done, with.brief);
    return 1;
  }
  figures();
  note_figure(static_cast<double>(schedules) / passed(), base);
  std::cout << "every promise was kept\n";
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  const auto with = read_options(argc, argv);
  if (!with) {
    std::cerr << usage;
    return 2;
  }
  if (with->help) {
    std::cout << usage;
    return 0;
  }
  watch();
  return with->seed ? run_one(*with->seed, with->shrink) : run_many(*with);
}

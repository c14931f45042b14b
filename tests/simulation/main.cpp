// Runs schedules: one by its seed, or fresh ones for a while, on several threads. See README.md.
#include <ctime>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <iostream>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>

#include "schedule.hpp"

namespace {

using namespace reseq::simulation;
using clock_type = std::chrono::steady_clock;

constexpr auto shrink_limit = std::chrono::seconds{20};
/// Of processor time: on a busy machine a schedule may have to wait.
constexpr double schedule_limit_seconds = 20;

constexpr auto usage = R"(usage: test-simulation [OPTION]…

Runs a whole shard through random schedules of faults and checks what its receivers got.

  --seconds S   fresh schedules for S seconds (default: 20; 180 when RESEQ_TEST_FULL is set)
  --seeds N     N fresh schedules
  --base N      the first seed of these (default: a random one); the others follow it
  --seed N      one schedule, told sentence by sentence
  --shrink      with --seed: makes it as small as it gets while it still fails
  --replays N   N fresh schedules, each three times: by its seed, again, and by its choices; nothing may differ
  --jobs N      threads that run fresh schedules (default: one for each processor)
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
  std::optional<std::uint64_t> replays;
  std::optional<std::uint64_t> seed;
  std::uint64_t jobs = std::max(1U, std::thread::hardware_concurrency());
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
    else if (name == "--replays")
      out.replays = number;
    else if (name == "--base")
      out.base = number;
    else if (name == "--seed")
      out.seed = number;
    else if (name == "--jobs" && number > 0)
      out.jobs = number;
    else
      return std::nullopt;
  }
  return out;
}

/// Names the schedule that a crash happened in; only what a signal handler may do.
thread_local char running[64];

void crashed(int /*signal*/) {
  constexpr std::string_view how = " crashes\n";
  (void)!write(STDOUT_FILENO, running, std::strlen(running));
  (void)!write(STDOUT_FILENO, how.data(), how.size());
  _exit(1);
}

void watch() {
  for (const int signal : {SIGSEGV, SIGABRT, SIGFPE, SIGBUS}) std::signal(signal, crashed);
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
  const auto still_fails = [&](const tape& smaller) { return run_tape(smaller).promise == failing.promise; };
  const auto smallest = shrink(failing.choices, still_fails, shrink_limit);
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

std::uint64_t random_seed() { return std::uint64_t{std::random_device{}()} << 16U; }

bool same(const outcome& a, const outcome& b) {
  return a.story == b.story && a.steps == b.steps && a.broken == b.broken && a.choices == b.choices;
}

bool a_worker_dies(const tape& of) {
  const auto told = run_tape(of, true).story;
  return std::ranges::any_of(told, [](const std::string& line) { return line.ends_with(" dies"); });
}

bool can_be_made_smaller(const tape& whole) {
  const auto smaller = shrink(whole, a_worker_dies, std::chrono::seconds{1});
  return smaller.size() < whole.size() && a_worker_dies(smaller);
}

/// Whether what is said of failing schedules is true of any: that they replay exactly, and can be made smaller.
int replay(std::uint64_t count, std::uint64_t base) {
  std::uint64_t made_smaller = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    about_to_run(base + i);
    const auto once = run_seed(base + i, true);
    const char* wrong = nullptr;
    if (!same(once, run_seed(base + i, true)) || !same(once, run_tape(once.choices, true)))
      wrong = "does not replay exactly";
    else if (made_smaller < 5 && a_worker_dies(once.choices) && ++made_smaller && !can_be_made_smaller(once.choices))
      wrong = "cannot be made smaller";
    if (wrong == nullptr) continue;
    std::cout << "seed " << base + i << ' ' << wrong << '\n';
    return 1;
  }
  std::cout << count << " schedules replay exactly, " << made_smaller << " were made smaller\n";
  return made_smaller > 0 ? 0 : 1;
}

/// Fresh schedules on several threads, until there were enough or one fails.
class fresh_schedules {
public:
  explicit fresh_schedules(const options& with) : with_(with), base_(with.base.value_or(random_seed())) {}

  int run() {
    std::cout << "seeds from " << base_ << " on" << std::endl;
    for (std::uint64_t i = 0; i < with_.jobs; ++i) runners_.emplace_back();
    for (auto& one : runners_) one.thread = std::thread([this, &one] { run_some(one); });
    watch_runners();
    for (auto& one : runners_) one.thread.join();
    const auto rate = tell_figures();
    if (failed_) {
      report(failed_seed_, *failed_, with_.brief);
      return 1;
    }
    note_figure(rate, base_);
    std::cout << "every promise was kept\n";
    return 0;
  }

private:
  struct runner {
    std::thread thread;
    std::atomic<std::uint64_t> seed{0};
    std::uint64_t seen = 0; ///< the seed when it was last looked at
    double since = 0;       ///< its processor time when it began with that, about
  };

  [[nodiscard]] double passed() const { return std::chrono::duration<double>(clock_type::now() - start_).count(); }

  void watch_runners() {
    std::unique_lock hold{mutex_};
    while (!ended_.wait_for(hold, std::chrono::seconds{1}, [this] { return at_work_ == 0; }))
      for (auto& one : runners_) see_whether_it_ends(one);
  }

  void run_some(runner& by) {
    while (!failed_first_ && (with_.seeds || passed() < with_.seconds)) {
      const auto number = next_++;
      if (with_.seeds && number >= *with_.seeds) break;
      by.seed = base_ + number;
      about_to_run(by.seed);
      auto done = run_seed(by.seed);
      ++schedules_;
      steps_ += done.steps;
      if (done.broken.empty() || failed_first_.exchange(true)) continue;
      failed_seed_ = by.seed;
      failed_ = std::move(done);
    }
    const std::lock_guard hold{mutex_};
    --at_work_;
    ended_.notify_one();
  }

  void see_whether_it_ends(runner& one) {
    clockid_t of = 0;
    timespec used{};
    if (pthread_getcpuclockid(one.thread.native_handle(), &of) != 0 || clock_gettime(of, &used) != 0)
      return; // it ended
    const auto now = static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
    if (one.seen != one.seed) {
      one.seen = one.seed;
      one.since = now;
    }
    if (now - one.since < schedule_limit_seconds) return;
    std::cout << "seed " << one.seen << " does not end" << std::endl;
    _exit(1);
  }

  double tell_figures() const {
    const auto seconds = std::max(passed(), 1e-9);
    const auto rate = static_cast<double>(schedules_) / seconds;
    std::cout << schedules_ << " schedules in " << seconds << " s: " << rate << " schedules/s, "
              << static_cast<double>(steps_) / seconds << " steps/s\n";
    return rate;
  }

  const options& with_;
  const std::uint64_t base_;
  const clock_type::time_point start_ = clock_type::now();
  std::deque<runner> runners_;
  std::atomic<std::uint64_t> next_{0};
  std::atomic<std::uint64_t> schedules_{0};
  std::atomic<std::uint64_t> steps_{0};
  std::mutex mutex_;
  std::condition_variable ended_;
  std::uint64_t at_work_{with_.jobs}; ///< under the mutex
  std::atomic<bool> failed_first_{false};
  std::uint64_t failed_seed_ = 0;
  std::optional<outcome> failed_;
};

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
  if (with->replays) return replay(*with->replays, with->base.value_or(random_seed()));
  return with->seed ? run_one(*with->seed, with->shrink) : fresh_schedules(*with).run();
}

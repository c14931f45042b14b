// Dispatch and release in memory: messages through a shard and a dispatch table to two threads that work, and out in
// order, beside oneTBB's ordered pipeline and a plain loop over the same work, alternating in one run.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/resource.h>

#include <CLI/CLI.hpp>

#ifdef RESEQ_WITH_TBB
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_pipeline.h>
#endif

#include "memory_shard.hpp"
#include "quantile.hpp"
#include "report.hpp"

namespace {

using namespace reseq;
using namespace reseq::bench;
using clock = std::chrono::steady_clock;

struct options {
  std::vector<double> work_us{0, 1, 10, 100};
  std::uint32_t threads = 2;
  std::uint32_t slots = 256;
  std::uint32_t window = 4096;
  double seconds = 0.5;
  int rounds = 5;
};

/// Busy for a time that neither clock reads nor preemption change: so many turns of a loop.
class work {
public:
  static work of_microseconds(double us) { return work{static_cast<std::uint64_t>(us * turns_per_us())}; }

  void operator()() const { turn(turns_); }

private:
  explicit work(std::uint64_t turns) : turns_(turns) {}

  /// One piece of code for all: a loop this short takes twice as long where it happens to lie badly.
  [[gnu::noinline, gnu::aligned(64)]] static void turn(std::uint64_t turns) {
    for (std::uint64_t i = 0; i < turns; ++i) asm volatile("" : : "r"(i));
  }

  static double turns_per_us() {
    static const double measured = [] {
      constexpr std::uint64_t turns = 2'000'000;
      double best = 0;
      for (int i = 0; i < 10; ++i) {
        const auto start = clock::now();
        work{turns}();
        best = std::max(best, turns / std::chrono::duration<double, std::micro>(clock::now() - start).count());
      }
      return best;
    }();
    return measured;
  }

  std::uint64_t turns_;
};

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

struct figures {
  double per_second = 0;
  double cpu_us = 0; ///< a message
};

template <class Run>
figures measure(std::size_t messages, Run run) {
  const auto cpu = cpu_seconds();
  const auto start = clock::now();
  run(messages);
  const std::chrono::duration<double> took = clock::now() - start;
  const auto count = static_cast<double>(messages);
  return {count / took.count(), (cpu_seconds() - cpu) / count * 1e6};
}

/// What goes to a worker, as it would go over the network.
struct job {
  dispatch_id copy;
  message_ptr message;
};

/// What comes back.
struct answer {
  dispatch_id copy;
  content_ptr result;
};

/// As `content_of` does: the result shares the message.
answer work_off(job& one, const work& each) {
  each();
  const auto* body = &one.message->body();
  return {one.copy, content_ptr{std::move(one.message), body}};
}

/// What waits to be worked off, and what was answered. Whoever works takes a share: at most half of what is there for
/// each thread, so that all end at the same time (guided self-scheduling, Polychronopoulos and Kuck, 1987).
class exchange_of_work {
public:
  explicit exchange_of_work(std::size_t threads) : threads_(threads) {}

  /// Leaves `jobs` empty.
  void give(std::vector<job>& jobs) {
    if (jobs.empty()) return;
    const std::lock_guard hold{mutex_};
    if (jobs_.empty()) waiting_since_ = clock::now();
    jobs_.insert(jobs_.end(), std::make_move_iterator(jobs.begin()), std::make_move_iterator(jobs.end()));
    jobs.clear();
    waiting_.store(true, std::memory_order_relaxed);
  }

  /// What has waited for longer than it takes to wake a thread is worth one.
  void wake_others_if_worth_it() {
    const std::lock_guard hold{mutex_};
    if (asleep_ > 0 && !jobs_.empty() && clock::now() - waiting_since_ > worth_a_thread) given_.notify_one();
  }

  /// Into `share`, which is empty: it stays so when nothing waits.
  void take(std::size_t most, std::vector<job>& share) {
    const std::lock_guard hold{mutex_};
    take_locked(most, share);
  }

  /// As `take`, but waits for something, at first awake, as oneTBB's threads do; empty only after `close`.
  void wait_and_take(std::size_t most, std::vector<job>& share) {
    for (const auto until = clock::now() + awake; clock::now() < until; std::this_thread::yield()) {
      if (!waiting_.load(std::memory_order_relaxed)) continue;
      take(most, share);
      if (!share.empty()) return;
    }
    std::unique_lock hold{mutex_};
    ++asleep_;
    given_.wait(hold, [this] { return closed_ || !jobs_.empty(); });
    --asleep_;
    take_locked(most, share);
  }

  /// Leaves `answers` empty.
  void answer_all(std::vector<answer>& answers) {
    const std::lock_guard hold{mutex_};
    const bool wake = answers_.empty();
    answers_.insert(answers_.end(), std::make_move_iterator(answers.begin()), std::make_move_iterator(answers.end()));
    answers.clear();
    if (wake) answered_.notify_one();
  }
  std::vector<answer> take_answers() {
    const std::lock_guard hold{mutex_};
    return std::exchange(answers_, {});
  }
  std::vector<answer> wait_for_answers() {
    std::unique_lock hold{mutex_};
    answered_.wait(hold, [this] { return !answers_.empty(); });
    return std::exchange(answers_, {});
  }

  void close() {
    const std::lock_guard hold{mutex_};
    closed_ = true;
    given_.notify_all();
  }

private:
  void take_locked(std::size_t most, std::vector<job>& share) {
    const auto part = std::min({most, jobs_.size(), jobs_.size() / (2 * threads_) + 1});
    const auto end = jobs_.begin() + static_cast<std::ptrdiff_t>(part);
    share.assign(std::make_move_iterator(jobs_.begin()), std::make_move_iterator(end));
    jobs_.erase(jobs_.begin(), end);
    waiting_.store(!jobs_.empty(), std::memory_order_relaxed);
  }

  static constexpr auto worth_a_thread = std::chrono::microseconds{50};
  static constexpr auto awake = std::chrono::microseconds{100};

  std::size_t threads_;
  std::mutex mutex_;
  std::condition_variable given_;
  std::condition_variable answered_;
  std::deque<job> jobs_;
  std::atomic<bool> waiting_ = false; ///< some of them
  std::vector<answer> answers_;
  clock::time_point waiting_since_;
  std::size_t asleep_ = 0;
  bool closed_ = false;
};

/// Threads that work beside the one that orders. Each takes as much at once as keeps it busy for a while.
class crew {
public:
  crew(exchange_of_work& with, std::size_t threads, work each) : with_(with), each_(each) {
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
  }
  ~crew() {
    with_.close();
    for (auto& one : threads_) one.join();
  }
  crew(const crew&) = delete;
  crew& operator=(const crew&) = delete;

private:
  void run() {
    std::size_t most = 1;
    std::vector<job> share;
    std::vector<answer> done;
    for (;;) {
      with_.take(most, share);
      if (share.empty()) with_.wait_and_take(most, share);
      if (share.empty()) return;
      const auto start = clock::now();
      for (auto& one : share) done.push_back(work_off(one, each_));
      with_.answer_all(done);
      const auto took = clock::now() - start;
      if (took < a_while / 2) most = 2 * share.size();
      if (took > a_while) most = std::max<std::size_t>(most / 2, 1);
    }
  }

  static constexpr auto a_while = std::chrono::microseconds{200};

  exchange_of_work& with_;
  work each_;
  std::vector<std::thread> threads_;
};

/// As in oneTBB's pipeline, the thread that runs it works, too: for a while, if anything waits, between one look at the
/// answers and the next.
void work_a_while(exchange_of_work& with, const work& each, std::vector<answer>& answers) {
  constexpr auto a_while = std::chrono::microseconds{20};
  std::vector<job> share;
  const auto start = clock::now();
  std::size_t most = 1;
  do {
    with.take(most, share);
    for (auto& one : share) answers.push_back(work_off(one, each));
    most = 2 * share.size();
  } while (!share.empty() && clock::now() - start < a_while);
}

/// One worker, whose threads share what it gets.
void through_reseq(const options& chosen, work each, std::size_t messages) {
  memory_shard ours({1, chosen.window, 256, 0});
  const auto worker = ours.add_worker(chosen.threads * chosen.slots);
  exchange_of_work with(chosen.threads);
  const crew others(with, chosen.threads - 1, each);
  std::vector<job> outgoing;
  while (ours.delivered() < messages) {
    const auto room = chosen.window - (ours.accepted() - ours.delivered());
    const auto more = std::min<std::uint64_t>(room, messages - ours.accepted());
    if (more > 0) ours.accept(more);
    ours.perform();
    for (auto& copy : ours.assign()) outgoing.push_back({copy.id, std::move(copy.message)});
    with.give(outgoing);
    with.wake_others_if_worth_it();

    auto answers = with.take_answers();
    work_a_while(with, each, answers);
    if (answers.empty()) answers = with.wait_for_answers();
    for (auto& one : answers) ours.answer(worker, one.copy, std::move(one.result));
    ours.perform();
  }
}

struct source {
  std::vector<message_ptr> pool;
  source() {
    for (int i = 0; i < 1024; ++i)
      pool.push_back(std::make_shared<const message>("m-" + std::to_string(i), "",
                                                     content{std::string(100, 'x'), "application/json", {}}));
  }
  const message_ptr& at(std::size_t i) const { return pool[i % pool.size()]; }
};

void in_a_loop(const source& from, work each, std::size_t messages) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < messages; ++i) {
    const auto message = from.at(i);
    each();
    bytes += content_ptr { message, &message->body() } -> payload.size();
  }
  if (bytes == 0) std::abort();
}

#ifdef RESEQ_WITH_TBB
void through_tbb(const options& chosen, const source& from, work each, std::size_t messages) {
  namespace tbb = oneapi::tbb;
  struct token {
    std::size_t number = 0;
    message_ptr message;
    content_ptr result;
  };
  std::size_t next = 0;
  std::size_t arrived = 0;
  const auto take = [&](tbb::flow_control& flow) -> token {
    if (next == messages) {
      flow.stop();
      return {};
    }
    const auto number = next++;
    return {number, from.at(number), nullptr};
  };
  const auto transform = [&](token t) {
    each();
    t.result = content_ptr{t.message, &t.message->body()};
    return t;
  };
  const auto deliver = [&](const token& t) {
    if (t.number != arrived++) std::abort();
  };
  tbb::parallel_pipeline(chosen.window, tbb::make_filter<void, token>(tbb::filter_mode::serial_in_order, take) &
                                          tbb::make_filter<token, token>(tbb::filter_mode::parallel, transform) &
                                          tbb::make_filter<token, void>(tbb::filter_mode::serial_in_order, deliver));
}
#endif

double median_of(const std::vector<figures>& rounds, double figures::*which) {
  std::vector<double> values;
  for (const auto& one : rounds) values.push_back(one.*which);
  return median(values);
}

void print(double work_us, const std::vector<figures>& loop, const std::vector<figures>& ours,
           const std::vector<figures>& tbb) {
  const auto alone = median_of(loop, &figures::cpu_us);
  const auto rate = median_of(ours, &figures::per_second);
  const auto name = "dispatch and release, " + rounded(work_us, 0) + " us of work";
  const auto own = std::max(0.0, median_of(ours, &figures::cpu_us) - alone);
  std::printf("%8.0f %12.0f %12.0f %9.2f", work_us, median_of(loop, &figures::per_second), rate, own);
  if (work_us == 0) report({name + ": own CPU", rounded(own, 2) + " us", "-", "-", "under 2 us"});
  if (tbb.empty()) {
    std::printf(" %12s %9s %8s\n", "-", "-", "-");
  } else {
    const auto theirs = median_of(tbb, &figures::per_second);
    report({name, rounded(rate, 0) + "/s", rounded(theirs, 0) + "/s (oneTBB)", rounded(rate / theirs, 2), "over 1"});
    std::printf(" %12.0f %9.2f %8.2f\n", theirs, std::max(0.0, median_of(tbb, &figures::cpu_us) - alone),
                rate / theirs);
  }
  std::fflush(stdout);
}

void run(const options& chosen) {
  const source from;
  std::printf("%u threads, window %u; median of %d rounds; own CPU: beyond that of the loop, us a message\n\n",
              chosen.threads, chosen.window, chosen.rounds);
  std::printf("%8s %12s %12s %9s %12s %9s %8s\n", "work, us", "loop/s", "reseq/s", "own CPU", "oneTBB/s", "own CPU",
              "ratio");
  for (const auto us : chosen.work_us) {
    const auto each = work::of_microseconds(us);
    const auto messages = static_cast<std::size_t>(chosen.seconds * 1e6 / (us + 0.7));
    std::vector<figures> loop;
    std::vector<figures> ours;
    std::vector<figures> tbb;
    for (int round = 0; round < chosen.rounds; ++round) {
      loop.push_back(measure(messages, [&](std::size_t n) { in_a_loop(from, each, n); }));
      ours.push_back(measure(messages, [&](std::size_t n) { through_reseq(chosen, each, n); }));
#ifdef RESEQ_WITH_TBB
      tbb.push_back(measure(messages, [&](std::size_t n) { through_tbb(chosen, from, each, n); }));
#endif
    }
    print(us, loop, ours, tbb);
  }
}

} // namespace

int main(int argc, char** argv) {
  options chosen;
  CLI::App app("Dispatch and release in memory, beside oneTBB's ordered pipeline.", "bench-dispatch");
  app.add_option("--work", chosen.work_us, "microseconds of work a message; may be repeated (default 0 1 10 100)")
    ->check(CLI::Range(0.0, 100'000.0));
  app.add_option("--threads", chosen.threads, "that work (default 2)")->check(CLI::Range(1, 64));
  app.add_option("--slots", chosen.slots, "of each thread: copies that it has at once (default 256)")
    ->check(CLI::Range(1, 100'000));
  app.add_option("--window", chosen.window, "messages under way, in both (default 4096)")
    ->check(CLI::Range(2, 1'000'000));
  app.add_option("--seconds", chosen.seconds, "about, of each round (default 0.5)")->check(CLI::Range(0.01, 100.0));
  app.add_option("--rounds", chosen.rounds, "the medians count (default 5)")->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
#ifdef RESEQ_WITH_TBB
  const oneapi::tbb::global_control limit(oneapi::tbb::global_control::max_allowed_parallelism, chosen.threads);
#endif
  run(chosen);
}

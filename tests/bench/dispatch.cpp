// Dispatch and release in memory: messages through a shard and a dispatch table to two threads that work, and out in
// order, beside oneTBB's ordered pipeline and a plain loop over the same work, alternating in one run.

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <mutex>
#include <span>
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

  void operator()() const {
    for (std::uint64_t i = 0; i < turns_; ++i) asm volatile("" : : "r"(i));
  }

private:
  explicit work(std::uint64_t turns) : turns_(turns) {}

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
  worker_id worker;
  dispatch_id copy;
  content_ptr result;
};

/// As `content_of` does: the result shares the message.
answer work_off(worker_id worker, job& one, const work& each) {
  each();
  const auto* body = &one.message->body();
  return {worker, one.copy, content_ptr{std::move(one.message), body}};
}

/// Threads that work: each takes jobs in batches as the network would bring them, and answers as they are done.
class crew {
public:
  crew(std::span<const worker_id> workers, work each) : boxes_(workers.size()), each_(each) {
    for (std::size_t i = 0; i < boxes_.size(); ++i)
      threads_.emplace_back([this, &from = boxes_[i], who = workers[i]] { run(from, who); });
  }
  ~crew() {
    for (auto& one : boxes_) one.close();
    for (auto& one : threads_) one.join();
  }
  crew(const crew&) = delete;
  crew& operator=(const crew&) = delete;

  void give(std::size_t nth, std::vector<job>& jobs) { boxes_[nth].put(jobs); }
  std::vector<answer> wait_for_answers() { return answers_.take(); }
  std::vector<answer> take_answers() { return answers_.take_what_is_there(); }

private:
  /// Batches form by themselves: whoever takes gets all that came meanwhile.
  template <class T>
  class queue {
  public:
    /// Leaves `more` empty.
    void put(std::vector<T>& more) {
      if (more.empty()) return;
      const std::lock_guard hold{mutex_};
      const bool wake = items_.empty();
      items_.insert(items_.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
      more.clear();
      if (wake) changed_.notify_one();
    }
    /// Empty only after `close`.
    std::vector<T> take() {
      std::unique_lock hold{mutex_};
      changed_.wait(hold, [this] { return closed_ || !items_.empty(); });
      return std::exchange(items_, {});
    }
    std::vector<T> take_what_is_there() {
      const std::lock_guard hold{mutex_};
      return std::exchange(items_, {});
    }
    void close() {
      const std::lock_guard hold{mutex_};
      closed_ = true;
      changed_.notify_one();
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<T> items_;
    bool closed_ = false;
  };

  void run(queue<job>& from, worker_id who) {
    std::vector<answer> done;
    auto told = clock::now();
    for (auto jobs = from.take(); !jobs.empty(); jobs = from.take()) {
      for (auto& one : jobs) {
        done.push_back(work_off(who, one, each_));
        if (const auto at = clock::now(); at - told > longest_untold) {
          answers_.put(done);
          told = at;
        }
      }
      answers_.put(done);
    }
  }

  static constexpr auto longest_untold = std::chrono::microseconds{250};

  std::vector<queue<job>> boxes_;
  queue<answer> answers_;
  work each_;
  std::vector<std::thread> threads_;
};

/// As in oneTBB's pipeline, the thread that runs it works, too, when it has nothing better to do.
void through_reseq(const options& chosen, work each, std::size_t messages) {
  constexpr std::size_t at_once = 16;
  memory_shard ours({1, chosen.window, 256, 0});
  std::vector<worker_id> workers;
  for (std::uint32_t i = 0; i < chosen.threads; ++i) workers.push_back(ours.add_worker(chosen.slots));
  const auto own = workers.front();
  const auto others = std::span{workers}.subspan(1);
  crew busy(others, each);
  std::deque<job> mine;
  std::vector<std::vector<job>> outgoing(others.size());
  while (ours.delivered() < messages) {
    const auto room = chosen.window - (ours.accepted() - ours.delivered());
    const auto more = std::min<std::uint64_t>(room, messages - ours.accepted());
    if (more > 0) ours.accept(more);
    ours.perform();
    for (auto& copy : ours.assign()) {
      const auto to = std::ranges::find(others, copy.worker) - others.begin();
      if (copy.worker == own)
        mine.push_back({copy.id, std::move(copy.message)});
      else
        outgoing[static_cast<std::size_t>(to)].push_back({copy.id, std::move(copy.message)});
    }
    for (std::size_t i = 0; i < outgoing.size(); ++i) busy.give(i, outgoing[i]);

    auto answers = mine.empty() ? busy.wait_for_answers() : busy.take_answers();
    for (std::size_t n = 0; n < at_once && answers.size() < chosen.slots && !mine.empty(); ++n) {
      answers.push_back(work_off(own, mine.front(), each));
      mine.pop_front();
    }
    for (auto& one : answers) ours.answer(one.worker, one.copy, std::move(one.result));
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

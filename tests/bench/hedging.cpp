// What hedging does to the tail: one attempt in a hundred takes fifty times as long, because of its worker and not
// because of the message. The state machines themselves, on virtual time, with and without hedging in the same run.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "quantile.hpp"
#include "report.hpp"
#include "reseq/core/dispatch_table.hpp"
#include "reseq/core/shard.hpp"

namespace {

using namespace reseq;
using namespace reseq::core;
using namespace std::chrono_literals;

constexpr int messages = 200'000;
constexpr std::uint32_t workers = 4;
constexpr std::uint32_t slots_each = 64;
constexpr destination_id receiver{1};

struct load {
  duration work;
  duration every; ///< one message
};

struct outcome {
  std::vector<double> latencies; ///< ms, from acceptance to the request to the receiver
  double work = 0;               ///< s, at all workers
  dispatch_counters counters;
};

/// A shard with one destination and its workers. What happens next is the earliest of: a message comes, an attempt
/// ends, a timer goes off.
class run {
public:
  run(const load& with, bool hedge)
    : load_(with), pipeline_(table_.add_pipeline(policy(hedge))), shard_(setup(), give_up::hold, 1, {}) {
    for (std::uint32_t w = 0; w < workers; ++w) table_.join(slots_each, {pipeline_});
  }

  outcome until_done() {
    while (result_.latencies.size() < messages) {
      now_ = next();
      if (arrived_ < messages && arrival(arrived_) <= now_) accept();
      while (!ends_.empty() && ends_.begin()->first <= now_) end_attempt();
      table_.tick(now_);
      perform();
    }
    result_.counters = table_.counters();
    return std::move(result_);
  }

private:
  static retry_settings policy(bool hedge) {
    retry_settings made;
    made.hedge = hedge;
    made.timeout = 30s; // what is slow answers in the end
    return made;
  }

  static std::vector<destination_setup> setup() {
    destination_setup made;
    made.id = receiver;
    made.settings.name = "receiver";
    made.settings.window = 4096;
    made.settings.max_unsaved = 4096;
    made.settings.batch = 1024;
    return {made};
  }

  [[nodiscard]] time_point arrival(int number) const { return time_point{} + number * load_.every; }

  [[nodiscard]] time_point next() const {
    auto due = time_point::max();
    if (arrived_ < messages) due = arrival(arrived_);
    if (!ends_.empty()) due = std::min(due, ends_.begin()->first);
    if (const auto timer = table_.next_deadline()) due = std::min(due, *timer);
    return std::max(due, now_);
  }

  void accept() {
    const auto number = static_cast<std::uint64_t>(++arrived_);
    const auto made = std::make_shared<const message>("m", "", content{});
    shard_.accepted({{position{number}, made, {{receiver, sequence{number}}}}}, now_);
  }

  void end_attempt() {
    const auto copy = ends_.begin()->second;
    ends_.erase(ends_.begin());
    const auto chain = copy.chains.front();
    if (const auto done = table_.answer(copy.worker, copy.id, chain, attempt_end::done, {}, now_))
      shard_.worked({{copy.at, chain, {std::make_shared<const content>(), {}}, done->work.asked}}, now_);
  }

  void perform() {
    auto todo = shard_.take();
    for (; !nothing(todo); todo = shard_.take()) {
      for (const auto& w : todo.work) table_.submit({pipeline_, w.at, w.chain}, w.head, now_, {w.message, w.asked});
      for (const auto& h : todo.heads) table_.make_head({pipeline_, h.at, h.chain}, now_);
      for (const auto& h : todo.holding) table_.hold_back({pipeline_, h.at, h.chain}, now_);
      for (const auto& request : todo.sends) deliver(request);
      if (todo.save) shard_.saved(now_);
    }
    for (auto& copy : table_.assign(now_)) {
      const auto takes = random_() % 100 == 0 ? 50 * load_.work : load_.work;
      result_.work += std::chrono::duration<double>(takes).count();
      ends_.emplace(now_ + takes, std::move(copy));
    }
  }

  static bool nothing(const effects& e) {
    return e.work.empty() && e.heads.empty() && e.holding.empty() && e.sends.empty() && !e.save;
  }

  void deliver(const send_request& request) {
    for (const auto& item : request.items)
      result_.latencies.push_back(
        std::chrono::duration<double, std::milli>(now_ - arrival(static_cast<int>(item.seq.value()) - 1)).count());
    shard_.answered(receiver, request.id, confirmed{}, now_, {});
  }

  load load_;
  std::mt19937_64 random_{42};
  dispatch_table table_{1};
  pipeline_index pipeline_;
  shard shard_;
  time_point now_{};
  int arrived_ = 0;
  std::multimap<time_point, dispatch> ends_;
  outcome result_;
};

void compare(const load& with) {
  const auto plain = run(with, false).until_done();
  const auto hedged = run(with, true).until_done();
  const auto p99 = [](const outcome& o) { return bench::quantile(o.latencies, 0.99); };
  const auto ms = [](duration d) { return std::chrono::duration<double, std::milli>(d).count(); };
  std::printf("%6.1f ms each, one every %6.2f ms | %8.1f %8.1f | %8.1f %8.1f | %5.2f | %+5.1f %% | %5.2f %% | %llu "
              "won, %llu lost\n",
              ms(with.work), ms(with.every), bench::median(plain.latencies), p99(plain),
              bench::median(hedged.latencies), p99(hedged), p99(hedged) / p99(plain),
              (hedged.work / plain.work - 1) * 100,
              100.0 * static_cast<double>(hedged.counters.hedged) / static_cast<double>(hedged.counters.dispatched),
              static_cast<unsigned long long>(hedged.counters.hedges_won),
              static_cast<unsigned long long>(hedged.counters.hedges_lost));
  const auto load = bench::rounded(1e3 / ms(with.every), 0) + "/s of " + bench::rounded(ms(with.work), 0) + " ms";
  bench::report({"p99 with hedging, " + load + ", ms", bench::rounded(p99(hedged), 1), bench::rounded(p99(plain), 1),
                 bench::rounded(p99(hedged) / p99(plain), 2), "ratio under 0.4"});
  bench::report({"work with hedging, " + load + ", s", bench::rounded(hedged.work, 1), bench::rounded(plain.work, 1),
                 bench::rounded(hedged.work / plain.work, 3), "ratio under 1.05"});
}

} // namespace

int main() {
  std::printf("one attempt in a hundred takes 50 times as long; latency in ms\n");
  std::printf("%35s | without: p50, p99  | hedged: p50, p99  | ratio | more work | hedges | how they ended\n", "");
  compare({75ms, 75ms});
  compare({75ms, 25ms});
  compare({10ms, 10ms});
  compare({10ms, 5ms});
  compare({10ms, 1ms});
}

// A whole pipeline in this process, from journal to receivers in memory, without HTTP and without work: how many
// messages a second beside bare inserts of the same rows; and at a share of that rate how long a message takes, beside
// how long it takes to insert it, which it has to wait for.

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/prctl.h>

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include "bare_postgres.hpp"
#include "bare_sqlite.hpp"
#include "local_pipeline.hpp"
#include "programs.hpp"
#include "quantile.hpp"
#include "report.hpp"
#include "store_servers.hpp"

namespace {

using namespace reseq;
using namespace reseq::bench;
using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

struct options {
  std::size_t messages = 100'000;
  std::size_t submit = 100;
  std::size_t in_flight = 8192;
  std::uint32_t slots = 2048;
  std::uint32_t window = 4096;
  std::uint32_t deliver = 256;
  std::uint32_t destinations = 1;
  double load = 0.5;
  double latency_s = 5;
  int rounds = 3;
  bool production = false;
  std::uint32_t commit_delay_us = 0;
  std::string scratch = std::filesystem::temp_directory_path().string();
};

double seconds(duration d) { return std::chrono::duration<double>(d).count(); }
double own_cpu_s() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "bench-in-process: %s\n", why.c_str());
  std::exit(1);
}

/// When each message came to its receiver; the n-th message goes to destination n modulo their number.
class arrivals {
public:
  explicit arrivals(std::uint32_t destinations) : last_(destinations) {}

  void expect(std::size_t messages) {
    const std::lock_guard hold{mutex_};
    at_.assign(messages, {});
    came_ = 0;
  }

  void take(destination_id destination, sequence seq, time_point at) {
    const std::lock_guard hold{mutex_};
    auto& last = last_.at(destination.value() - 1);
    if (seq.value() != ++last) die("out of order");
    at_.at((seq.value() - 1) * last_.size() + destination.value() - 1 - before_) = at;
    ++came_;
    changed_.notify_one();
  }

  void wait_for(std::size_t messages) {
    std::unique_lock hold{mutex_};
    if (!changed_.wait_for(hold, 60s, [&] { return came_ >= messages; })) die("messages are missing");
  }

  /// All of those expected, which have come; others may follow.
  std::vector<time_point> finish() {
    const std::lock_guard hold{mutex_};
    before_ += at_.size();
    return std::move(at_);
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::uint64_t> last_; ///< of each destination
  std::vector<time_point> at_;
  std::size_t came_ = 0;
  std::size_t before_ = 0;
};

/// When each message is due, whatever became of those before it.
class schedule {
public:
  explicit schedule(double per_second) : per_second_(per_second) {}

  /// `take` gets the numbers of those that are due, one at least, on this thread.
  template <class Take>
  void run(std::size_t messages, Take take) const {
    prctl(PR_SET_TIMERSLACK, 1);
    for (std::size_t done = 0; done < messages;) {
      std::this_thread::sleep_until(at(done));
      const auto now = clock::now();
      std::size_t size = 1;
      while (done + size < messages && at(done + size) <= now) ++size;
      take(done, size);
      done += size;
    }
  }

  [[nodiscard]] std::vector<double> late_ms(const std::vector<time_point>& came) const {
    std::vector<double> late;
    for (std::size_t i = 0; i < came.size(); ++i) late.push_back(seconds(came[i] - at(i)) * 1e3);
    return late;
  }

private:
  [[nodiscard]] time_point at(std::size_t message) const {
    const std::chrono::duration<double> after(static_cast<double>(message) / per_second_);
    return start_ + std::chrono::duration_cast<clock::duration>(after);
  }

  double per_second_;
  time_point start_ = clock::now() + 10ms;
};

struct figures {
  double per_second = 0;
  double own_us = 0; ///< of processor time a message
  double postgres_us = 0;
  double redis_us = 0;
};

/// A pipeline of its own, with stores of its own.
class system_under_test {
public:
  explicit system_under_test(const options& chosen)
    : chosen_(chosen), data_(chosen.scratch), arrivals_(chosen.destinations) {
    if (chosen.production) servers_ = std::make_unique<store_servers>(data_.path(), chosen.commit_delay_us);
    const auto file = data_.path() / "reseq.toml";
    write_configuration(file);
    auto started = local_pipeline::start(
      file, chosen.slots, [this](destination_id to, sequence seq, time_point at) { arrivals_.take(to, seq, at); });
    if (!started) die(started.error().text());
    pipeline_ = std::move(*started);
  }

  /// As fast as it goes.
  figures saturate(std::size_t messages) {
    auto all = make(messages);
    arrivals_.expect(messages);
    const double own = own_cpu_s();
    const double postgres = servers_ ? servers_->postgres_cpu_s() : 0;
    const double redis = servers_ ? servers_->redis_cpu_s() : 0;
    const auto start = clock::now();
    for (std::size_t done = 0; done < messages;) {
      const auto size = std::min(chosen_.submit, messages - done);
      if (done + size > chosen_.in_flight) arrivals_.wait_for(done + size - chosen_.in_flight);
      submit(all, done, size);
      done += size;
    }
    arrivals_.wait_for(messages);
    const auto count = static_cast<double>(messages);
    figures out;
    out.per_second = count / seconds(clock::now() - start);
    out.own_us = (own_cpu_s() - own) / count * 1e6;
    out.postgres_us = servers_ ? (servers_->postgres_cpu_s() - postgres) / count * 1e6 : 0;
    out.redis_us = servers_ ? (servers_->redis_cpu_s() - redis) / count * 1e6 : 0;
    arrivals_.finish();
    return out;
  }

  /// From when each message was due to its arrival.
  std::vector<double> latencies(double per_second, std::size_t messages) {
    auto all = make(messages);
    arrivals_.expect(messages);
    const schedule due(per_second);
    due.run(messages, [&](std::size_t from, std::size_t size) { submit(all, from, size); });
    arrivals_.wait_for(messages);
    return due.late_ms(arrivals_.finish());
  }

private:
  void write_configuration(const std::filesystem::path& file) {
    std::ofstream out(file);
    out << "[node]\ndata_dir = \"" << (data_.path() / "data").string() << "\"\n";
    if (servers_) out << servers_->new_table();
    out << "[[pipeline]]\nname = \"bench\"\n";
    for (std::uint32_t i = 0; i < chosen_.destinations; ++i)
      out << "[[pipeline.destination]]\nname = \"d" << i
          << "\"\nurl = \"http://127.0.0.1:1\"\nbatch = " << chosen_.deliver << "\nwindow = " << chosen_.window
          << "\nmax_unsaved = " << std::max(chosen_.deliver, chosen_.window) << "\n";
  }

  std::vector<submission> make(std::size_t messages) {
    auto all = make_batch(ids_, messages, 1);
    for (std::size_t i = 0; i < messages; ++i) all[i].routes = {destination_id{next_++ % chosen_.destinations + 1}};
    return all;
  }

  void submit(std::vector<submission>& all, std::size_t from, std::size_t size) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(from);
    pipeline_->submit(
      {std::make_move_iterator(begin), std::make_move_iterator(begin + static_cast<std::ptrdiff_t>(size))},
      [size](const result<std::size_t>& accepted) {
        if (!accepted) die(accepted.error().text());
        if (*accepted != size) die("not all were accepted");
      });
  }

  options chosen_;
  folder data_;
  std::unique_ptr<store_servers> servers_;
  ids ids_{true};
  std::uint32_t next_ = 0;
  arrivals arrivals_;
  std::unique_ptr<local_pipeline> pipeline_;
};

/// The same rows into a bare table, alone on the machine; what makes them ready is not counted.
class bare_table {
public:
  explicit bare_table(const options& chosen) : data_(chosen.scratch) {
    if (!chosen.production) {
      sqlite_ = std::make_unique<bare_sqlite>(data_.path() / "bare.sqlite");
      return;
    }
    servers_ = std::make_unique<store_servers>(data_.path(), chosen.commit_delay_us);
    postgres_ = std::make_unique<bare_postgres>(servers_->new_database(), way::unnest, lock::none);
  }

  /// In batches of 100.
  double rows_per_second(std::size_t messages) {
    constexpr std::size_t size = 100;
    duration busy{};
    for (std::size_t done = 0; done < messages; done += size) busy += insert(size);
    return static_cast<double>(messages) / seconds(busy);
  }

  /// From when each message was due to when it was durable. What has come while one batch was being inserted is the
  /// next one.
  std::vector<double> latencies(double per_second, std::size_t messages) {
    std::vector<time_point> durable(messages);
    const schedule due(per_second);
    due.run(messages, [&](std::size_t from, std::size_t size) {
      insert(size);
      std::fill_n(durable.begin() + static_cast<std::ptrdiff_t>(from), size, clock::now());
    });
    return due.late_ms(durable);
  }

private:
  duration insert(std::size_t size) {
    const auto commit = [](auto& into, const auto& rows) {
      const auto start = clock::now();
      into.commit(rows);
      return clock::now() - start;
    };
    auto rows = make_batch(ids_, size, 1);
    return sqlite_ ? commit(*sqlite_, bare_sqlite::ready(std::move(rows))) : commit(*postgres_, postgres_->ready(rows));
  }

  folder data_;
  std::unique_ptr<store_servers> servers_;
  std::unique_ptr<bare_sqlite> sqlite_;
  std::unique_ptr<bare_postgres> postgres_;
  ids ids_{true};
};

struct round_figures {
  figures ours;
  double bare_per_second = 0;
  double p50_ms = 0;
  double p99_ms = 0;
  double bare_p50_ms = 0;
  double bare_p99_ms = 0;
};

round_figures measure(const options& chosen) {
  round_figures out;
  double due = 0;
  std::size_t messages = 0;
  {
    system_under_test system(chosen);
    system.saturate(chosen.messages / 10 + 1);
    out.ours = system.saturate(chosen.messages);
    due = chosen.load * out.ours.per_second;
    messages = static_cast<std::size_t>(due * chosen.latency_s) + 1;
    const auto late = system.latencies(due, messages);
    out.p50_ms = median(late);
    out.p99_ms = quantile(late, 0.99);
  }
  bare_table bare(chosen);
  out.bare_per_second = bare.rows_per_second(chosen.messages);
  const auto late = bare.latencies(due, messages);
  out.bare_p50_ms = median(late);
  out.bare_p99_ms = quantile(late, 0.99);
  return out;
}

void run(const options& chosen) {
  const char* const baseline = chosen.production ? "bare PostgreSQL" : "bare SQLite";
  std::printf("%zu messages of 1 KiB, %zu a submission, %u destinations; then at %.2f of that rate\n\n",
              chosen.messages, chosen.submit, chosen.destinations, chosen.load);
  std::printf("%15s %10s | %23s | %15s %7s\n", "", "messages/s", "us of CPU: own, stores", "latency, ms p50", "p99");
  std::vector<round_figures> rounds;
  for (int i = 0; i < chosen.rounds; ++i) {
    const auto& got = rounds.emplace_back(measure(chosen));
    std::printf("%15s %10.0f | %7.1f %7.1f %7.1f | %15.2f %7.2f\n%15s %10.0f | %23s | %15.2f %7.2f\n", "reseq",
                got.ours.per_second, got.ours.own_us, got.ours.postgres_us, got.ours.redis_us, got.p50_ms, got.p99_ms,
                baseline, got.bare_per_second, "", got.bare_p50_ms, got.bare_p99_ms);
    std::fflush(stdout);
  }
  const auto of = [&](auto which) {
    std::vector<double> all;
    for (const auto& one : rounds) all.push_back(which(one));
    return median(all);
  };
  const std::string name = std::string(chosen.production ? "PostgreSQL and Redis, " : "") + "in one process: ";
  const auto row = [&](const std::string& what, double ours, double bare, int decimals, const char* unit,
                       const char* aim) {
    const auto text = [&](double value) { return rounded(value, decimals) + unit; };
    std::printf("%-40s %10s, %s %10s, ratio %.2f\n", (name + what).c_str(), text(ours).c_str(), baseline,
                text(bare).c_str(), ours / bare);
    report({name + what, text(ours), text(bare) + " (" + baseline + ")", rounded(ours / bare, 2), aim});
  };
  std::printf("\nmedians of the rounds\n");
  row("end to end", of([](const auto& r) { return r.ours.per_second; }),
      of([](const auto& r) { return r.bare_per_second; }), 0, "/s", chosen.production ? "ratio 0.7" : "-");
  row("latency, p50", of([](const auto& r) { return r.p50_ms; }), of([](const auto& r) { return r.bare_p50_ms; }), 2,
      " ms", chosen.production ? "under 2" : "under 0.5");
  row("latency, p99", of([](const auto& r) { return r.p99_ms; }), of([](const auto& r) { return r.bare_p99_ms; }), 2,
      " ms", chosen.production ? "under 5" : "under 3");
}

} // namespace

int main(int argc, char** argv) {
  options chosen;
  CLI::App app("A pipeline in one process, with receivers in memory: messages a second beside bare inserts into its\n"
               "database, and latency at a share of that rate.",
               "bench-in-process");
  app.add_option("--messages", chosen.messages, "in each round (default 100000)")->check(CLI::Range(100, 1'000'000));
  app.add_flag("--production", chosen.production, "PostgreSQL and Redis, of its own, instead of SQLite and memory");
  app.add_option("--commit-delay", chosen.commit_delay_us, "microseconds added to each of PostgreSQL's commits")
    ->check(CLI::Range(0, 100'000));
  app.add_option("--destinations", chosen.destinations, "each message goes to the next one (default 1)")
    ->check(CLI::Range(1, 1'000));
  app.add_option("--submit", chosen.submit, "messages a submission (default 100)")->check(CLI::Range(1, 10'000));
  app.add_option("--in-flight", chosen.in_flight, "most messages submitted and not delivered (default 8192)")
    ->check(CLI::Range(1, 1'000'000));
  app.add_option("--slots", chosen.slots, "of the worker (default 2048)")->check(CLI::Range(1, 100'000));
  app.add_option("--window", chosen.window, "of each destination (default 4096)")->check(CLI::Range(2, 1'000'000));
  app.add_option("--deliver", chosen.deliver, "most messages a delivery carries (default 256)")
    ->check(CLI::Range(1, 1'024));
  app.add_option("--load", chosen.load, "share of the rate at which latency is measured (default 0.5)")
    ->check(CLI::Range(0.001, 1.0));
  app.add_option("--seconds", chosen.latency_s, "for which it is measured (default 5)")->check(CLI::Range(0.1, 600.0));
  app.add_option("--rounds", chosen.rounds, "the median counts (default 3)")->check(CLI::Range(1, 100));
  app.add_option("--scratch", chosen.scratch, "where the data lies meanwhile")->check(CLI::ExistingDirectory);
  CLI11_PARSE(app, argc, argv);
  spdlog::set_level(spdlog::level::err);
  run(chosen);
}

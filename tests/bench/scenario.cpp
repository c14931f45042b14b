// The users' scenario, a message every 250 ms that takes 750 ms of work, and scaled down; then random work at a rate:
// the latency from due time to arrival at the receiver, through a real supervisor, beside the ideal schedule and beside
// working on one message at a time.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "host.hpp"
#include "phase.hpp"
#include "programs.hpp"
#include "quantile.hpp"
#include "report.hpp"
#include "store_servers.hpp"

namespace {

using namespace reseq;
using namespace reseq::bench;
using namespace std::chrono_literals;

struct options {
  std::size_t messages = 0; ///< 0: as many as fit the time of a default run
  std::vector<double> scales;
  std::vector<double> rates;
  std::vector<double> loads;
  double mean_ms = 5;
  std::uint32_t batch = 1;
  std::uint64_t seed = 1;
  bool production = false;
  std::uint32_t commit_delay_us = 0;
  std::string supervisor;
  std::string scratch = std::filesystem::temp_directory_path().string();
};

duration of_seconds(double seconds) {
  return std::chrono::duration_cast<duration>(std::chrono::duration<double>(seconds));
}

/// The slower a message comes, the fewer fit; yet quarters must show a trend.
std::size_t fitting(duration interval) {
  if (interval >= 100ms) return 160;
  if (interval >= 10ms) return 800;
  return static_cast<std::size_t>(10s / interval);
}

phase scaled_scenario(const options& chosen, double scale) {
  phase p;
  p.interval = of_seconds(0.250 * scale);
  p.work.min = of_seconds(0.750 * scale);
  p.work.distribution = delay_settings::shape::fixed;
  p.work.seed = chosen.seed;
  p.messages = chosen.messages ? chosen.messages : fitting(p.interval);
  p.batch = chosen.batch;
  return p;
}

phase random_work(const options& chosen, double per_second) {
  phase p;
  p.interval = of_seconds(1 / per_second);
  p.work.min = of_seconds(chosen.mean_ms / 1000);
  p.work.distribution = delay_settings::shape::exponential;
  p.work.seed = chosen.seed;
  p.messages = chosen.messages ? chosen.messages : fitting(p.interval);
  p.batch = chosen.batch;
  p.hedge = false;
  return p;
}

/// How many messages a second come through when all of them are there at once.
result<double> capacity(const options& chosen, const std::filesystem::path& supervisor, const std::string& store) {
  auto at_once = random_work(chosen, 1);
  at_once.interval = {};
  at_once.messages = 5000;
  at_once.store = store;
  const auto got = run(at_once, supervisor, chosen.scratch);
  if (!got) return tl::unexpected(got.error());
  return static_cast<double>(at_once.messages) / got->reseq.latency.back() * 1000;
}

void print_host(const host_times& alone) {
  std::printf("this machine, idle: a sync of 8 KB takes %.3f ms (p50), %.3f (p99); to wake a thread %.3f, %.3f\n",
              median(alone.sync_ms), quantile(alone.sync_ms, 0.99), median(alone.wake_up_ms),
              quantile(alone.wake_up_ms, 0.99));
}

void print_head() {
  std::printf(
    "milliseconds; overhead: over the ideal schedule; 1/4, 4/4: median of the first and of the last quarter\n\n");
  std::printf("%-20s %8s | %15s | %23s | %23s %15s | %23s\n", "", "", "ideal latency", "reseq: latency",
              "reseq: overhead", "overhead", "one at a time: latency");
  std::printf("%-20s %8s | %7s %7s | %7s %7s %7s | %7s %7s %7s %7s %7s | %7s %7s %7s\n", "interval, work", "messages",
              "p50", "p99", "p50", "p99", "max", "p50", "p99", "max", "1/4", "4/4", "1/4", "4/4", "done");
}

struct aims {
  const char* p50;
  const char* p99;
};

aims aims_of(bool fixed, bool production) {
  if (fixed) return {production ? "under 1.5" : "under 0.5", "under 4"};
  return production ? aims{"under 2", "under 5"} : aims{"under 0.5", "under 3"};
}

void print_row(const phase& p, const outcome& got, bool production) {
  const auto as_ms = [](duration d) { return std::chrono::duration<double, std::milli>(d).count(); };
  const bool fixed = p.work.distribution == delay_settings::shape::fixed;
  char title[64];
  std::snprintf(title, sizeof title, "%.3g, %s%.4g", as_ms(p.interval), fixed ? "" : "exp ", as_ms(p.work.min));
  const auto& [latency, ideal, overhead] = got.reseq;
  std::printf("%-20s %8zu | %7.2f %7.2f | %7.2f %7.2f %7.2f | %7.3f %7.3f %7.3f %7.3f %7.3f | %7.0f %7.0f %7zu\n",
              title, p.messages, median(ideal), quantile(ideal, 0.99), median(latency), quantile(latency, 0.99),
              quantile(latency, 1), median(overhead), quantile(overhead, 0.99), quantile(overhead, 1),
              median(first_quarter(overhead)), median(last_quarter(overhead)), median(first_quarter(got.one_at_a_time)),
              median(last_quarter(got.one_at_a_time)), got.one_at_a_time.size());
  std::printf(
    "%-20s %8s | the producer was late by %.3f (p50), %.3f (p99), had %zu requests at once; a bare sleep takes %.3f "
    "too long (p50), %.3f (p99)\n",
    "", "", median(got.producer_late), quantile(got.producer_late, 0.99), got.most_connections, median(got.overslept),
    quantile(got.overslept, 0.99));
  std::fflush(stdout);
  const auto name = std::string{production ? "PostgreSQL and Redis, " : ""} + "latency over the ideal, ms: " + title;
  const auto alone = rounded(median(last_quarter(got.one_at_a_time)), 0) + " (one at a time, last quarter)";
  const auto aim = aims_of(fixed, production);
  report({name + ", p50", rounded(median(overhead), 2), alone, "-", aim.p50});
  report({name + ", p99", rounded(quantile(overhead, 0.99), 2), "-", "-", aim.p99});
}

std::vector<phase> phases(const options& chosen) {
  std::vector<phase> all;
  const bool everything = chosen.scales.empty() && chosen.rates.empty() && chosen.loads.empty();
  for (const auto scale : everything ? std::vector{1.0, 0.1, 0.01} : chosen.scales)
    all.push_back(scaled_scenario(chosen, scale));
  for (const auto rate : everything ? std::vector{1500.0} : chosen.rates) all.push_back(random_work(chosen, rate));
  return all;
}

int run_all(const options& chosen) {
  auto supervisor = chosen.supervisor.empty() ? find_supervisor() : result<std::filesystem::path>(chosen.supervisor);
  if (!supervisor) {
    std::fprintf(stderr, "bench-scenario: %s\n", supervisor.error().text().c_str());
    return 2;
  }
  const folder data(chosen.scratch);
  print_host(measure_host(data.path()));
  std::unique_ptr<store_servers> servers;
  if (chosen.production) servers = std::make_unique<store_servers>(data.path(), chosen.commit_delay_us);
  auto all = phases(chosen);
  if (!chosen.loads.empty()) {
    const auto most = capacity(chosen, *supervisor, servers ? servers->new_table() : "");
    if (!most) {
      std::fprintf(stderr, "bench-scenario: %s\n", most.error().text().c_str());
      return 1;
    }
    std::printf("capacity: %.0f messages/s\n", *most);
    for (const auto load : chosen.loads) all.push_back(random_work(chosen, load * *most));
  }
  print_head();
  for (auto& one : all) {
    if (servers) one.store = servers->new_table();
    const auto got = run(one, *supervisor, chosen.scratch);
    if (!got) {
      std::fprintf(stderr, "bench-scenario: %s\n", got.error().text().c_str());
      return 1;
    }
    print_row(one, *got, chosen.production);
  }
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  options chosen;
  CLI::App app(
    "Latency over the ideal schedule, beside one at a time. Without --scale, --rate and --load: the scales 1, 0.1 and\n"
    "0.01 and the rate 1500, in under two minutes.",
    "bench-scenario");
  app.add_option("--scale", chosen.scales, "a message every 250 ms and 750 ms of work, times this; may be repeated")
    ->check(CLI::Range(0.001, 10.0));
  app.add_option("--rate", chosen.rates, "messages a second of random, exponential work; may be repeated")
    ->check(CLI::Range(0.1, 20'000.0));
  app
    .add_option("--load", chosen.loads,
                "random, exponential work at this share of the capacity, which is measured first; may be repeated")
    ->check(CLI::Range(0.01, 1.0));
  app.add_option("--messages", chosen.messages, "in each row (default: what takes 10 to 40 s)")
    ->check(CLI::Range(8, 1'000'000));
  app.add_option("--mean", chosen.mean_ms, "of the random work, in milliseconds (default 5)")
    ->check(CLI::Range(0.1, 10'000.0));
  app.add_option("--batch", chosen.batch, "how many messages a delivery may carry (default 1)")
    ->check(CLI::Range(1, 1024));
  app.add_flag("--production", chosen.production, "PostgreSQL and Redis, of its own, instead of SQLite and memory");
  app.add_option("--commit-delay", chosen.commit_delay_us, "microseconds added to each of PostgreSQL's commits")
    ->check(CLI::Range(0, 100'000));
  app.add_option("--seed", chosen.seed, "of the random work (default 1)")->check(CLI::PositiveNumber);
  app.add_option("--supervisor", chosen.supervisor, "the program (default: the one built beside this)")
    ->check(CLI::ExistingFile);
  app.add_option("--scratch", chosen.scratch, "where the data lies meanwhile")->check(CLI::ExistingDirectory);
  CLI11_PARSE(app, argc, argv);
  return run_all(chosen);
}

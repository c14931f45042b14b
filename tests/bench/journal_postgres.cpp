// Durable acceptance through the PostgreSQL journal beside bare inserts of the same rows into a table with the same
// indexes, alternating in one run, on a server of its own; then other ways to insert, and other locks.
//
// bench-journal-postgres [messages a round] [rounds] [messages in each table before] [time|random] [destinations]

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bare_postgres.hpp"
#include "bare_sqlite.hpp"
#include "postgres_server.hpp"
#include "reseq/store/postgres/postgres_journal.hpp"

namespace {

using namespace reseq;
using namespace reseq::bench;

struct options {
  std::uint64_t messages = 20'000;
  int rounds = 3;
  std::uint64_t before = 100'000;
  bool ordered_ids = false;
  std::uint32_t destinations = 1;
};

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "bench-journal-postgres: %s\n", why.c_str());
  std::exit(1);
}

/// Something that takes batches.
struct contender {
  std::string name;
  /// Makes ready, unmeasured, what then commits a batch.
  std::function<std::function<void()>(std::vector<submission>)> ready;
  std::size_t connections = 1; ///< batches are committed by so many threads, in turn
  std::vector<double> rows_per_second{};
};

contender bare(const std::string& name, const std::string& url, way how, lock what) {
  auto table = std::make_shared<bare_postgres>(url, how, what);
  return {name, [table](const std::vector<submission>& batch) {
            return [table, rows = table->ready(batch)] { table->commit(rows); };
          }};
}

/// Of which each commits every other batch: faster, and in no order.
contender two_connections(const std::string& url) {
  const auto first = std::make_shared<bare_postgres>(url, way::unnest, lock::none);
  const auto second = std::make_shared<bare_postgres>(url, *first);
  return {"two connections",
          [first, second, made = std::size_t{0}](const std::vector<submission>& batch) mutable {
            return [table = made++ % 2 == 0 ? first : second, rows = first->ready(batch)] { table->commit(rows); };
          },
          2};
}

contender ours(const std::string& url, std::uint32_t destinations) {
  store::postgres::postgres_options chosen;
  chosen.url = url;
  auto opened = store::postgres::open_postgres(chosen);
  if (!opened) die(opened.error().text());
  std::shared_ptr<store::journal> journal = std::move(*opened);
  std::vector<store::destination_spec> specs;
  for (std::uint32_t i = 1; i <= destinations; ++i) specs.push_back({"d" + std::to_string(i), std::uint64_t{1} << 40U});
  const auto shard = journal->open({"bench", 0}, {"{}"}, specs);
  if (!shard) die(shard.error().text());
  return {"journal", [journal, handle = shard->handle](std::vector<submission> batch) {
            std::vector<store::shard_commit> wanted(1);
            wanted[0].shard = handle;
            wanted[0].submissions = std::move(batch);
            return [journal, wanted = std::move(wanted)] {
              if (auto done = journal->commit(wanted, wall_time{std::chrono::hours{500'000}}); !done)
                die(done.error().text());
            };
          }};
}

double measure(contender& one, ids& from, const options& chosen, std::size_t size) {
  std::vector<std::function<void()>> batches;
  for (std::uint64_t made = 0; made < chosen.messages; made += size)
    batches.push_back(one.ready(make_batch(from, size, chosen.destinations)));
  const auto start = std::chrono::steady_clock::now();
  const auto commit_some = [&](std::size_t first) {
    for (auto i = first; i < batches.size(); i += one.connections) batches[i]();
  };
  std::vector<std::jthread> others;
  for (std::size_t i = 1; i < one.connections; ++i) others.emplace_back(commit_some, i);
  commit_some(0);
  others.clear();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  return static_cast<double>(batches.size() * size) / took.count();
}

double median(std::vector<double> all) {
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

} // namespace

int main(int argc, char** argv) {
  options chosen;
  if (argc > 1) chosen.messages = std::strtoull(argv[1], nullptr, 10);
  if (argc > 2) chosen.rounds = std::atoi(argv[2]);
  if (argc > 3) chosen.before = std::strtoull(argv[3], nullptr, 10);
  if (argc > 4) chosen.ordered_ids = std::strcmp(argv[4], "time") == 0;
  if (argc > 5) chosen.destinations = static_cast<std::uint32_t>(std::atoi(argv[5]));

  test::postgres_server server(test::postgres_server::durability::full);
  const auto url = server.create_database();
  std::vector<contender> all{bare("bare", url, way::unnest, lock::none),
                             ours(url, chosen.destinations),
                             bare("row lock", url, way::unnest, lock::row),
                             bare("advisory", url, way::unnest, lock::advisory),
                             bare("json", url, way::json, lock::none),
                             bare("COPY", url, way::copy, lock::none),
                             two_connections(url)};
  ids from(chosen.ordered_ids);
  for (std::uint64_t done = 0; done < chosen.before; done += 1000)
    for (auto& one : all) one.ready(make_batch(from, 1000, chosen.destinations))();

  std::printf("ids %s, %u destinations, %llu messages before, rows/s and of bare, median of %d rounds of %llu\n%6s",
              chosen.ordered_ids ? "by time" : "random", chosen.destinations,
              static_cast<unsigned long long>(chosen.before), chosen.rounds,
              static_cast<unsigned long long>(chosen.messages), "batch");
  for (const auto& one : all) std::printf("%17s", one.name.c_str());
  std::printf("\n");
  for (const std::size_t size : {1U, 10U, 100U, 1000U}) {
    options sized = chosen;
    sized.messages = std::min<std::uint64_t>(chosen.messages, 5000 * size); // single rows would take for ever
    for (auto& one : all) one.rows_per_second.clear();
    for (int round = 0; round < chosen.rounds; ++round)
      for (auto& one : all) one.rows_per_second.push_back(measure(one, from, sized, size));
    std::printf("%6zu", size);
    const double base = median(all.front().rows_per_second);
    for (const auto& one : all) {
      const double mine = median(one.rows_per_second);
      std::printf("%10.0f (%.2f)", mine, mine / base);
    }
    std::printf("\n");
    std::fflush(stdout);
  }
}

// Durable acceptance through the SQLite journal beside bare SQLite inserts of the same rows, alternating in one run.
//
// bench-journal [messages a round] [rounds] [messages in both journals before] [time|random] [destinations]

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bare_sqlite.hpp"
#include "report.hpp"
#include "reseq/store/sqlite/sqlite_journal.hpp"

namespace {

using namespace reseq;
using namespace reseq::bench;

struct options {
  std::uint64_t messages = 20'000;
  int rounds = 3;
  std::uint64_t before = 200'000;
  bool ordered_ids = false;
  std::uint32_t destinations = 1;
};

struct timing {
  double rows_per_second = 0;
  double p99_ms = 0;
};

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "bench-journal: %s\n", why.c_str());
  std::exit(1);
}

class ours {
public:
  ours(const std::filesystem::path& directory, std::uint32_t destinations) {
    auto opened = store::sqlite::open_sqlite(directory);
    if (!opened) die(opened.error().text());
    journal_ = std::move(*opened);
    std::vector<store::destination_spec> specs;
    for (std::uint32_t i = 1; i <= destinations; ++i)
      specs.push_back({"d" + std::to_string(i), std::uint64_t{1} << 40U});
    auto shard = journal_->open({"bench", 0}, {"{}"}, specs);
    if (!shard) die(shard.error().text());
    shard_ = shard->handle;
  }

  using batch = std::vector<submission>;
  static batch ready(std::vector<submission> submissions) { return submissions; }

  void commit(batch submissions) {
    std::vector<store::shard_commit> wanted(1);
    wanted[0].shard = shard_;
    wanted[0].submissions = std::move(submissions);
    if (auto done = journal_->commit(wanted, wall_time{}); !done) die(done.error().text());
  }

private:
  std::unique_ptr<store::journal> journal_;
  store::shard_handle shard_;
};

template <class Store>
timing measure(Store& into, ids& from, const options& chosen, std::size_t batch) {
  std::vector<typename Store::batch> batches;
  for (std::uint64_t made = 0; made < chosen.messages; made += batch)
    batches.push_back(Store::ready(make_batch(from, batch, chosen.destinations)));
  std::vector<double> each_ms;
  each_ms.reserve(batches.size());
  const auto start = std::chrono::steady_clock::now();
  auto before = start;
  for (auto& one : batches) {
    into.commit(std::move(one));
    const auto now = std::chrono::steady_clock::now();
    each_ms.push_back(std::chrono::duration<double, std::milli>(now - before).count());
    before = now;
  }
  const double seconds = std::chrono::duration<double>(before - start).count();
  std::sort(each_ms.begin(), each_ms.end());
  return {static_cast<double>(batches.size() * batch) / seconds, each_ms[each_ms.size() * 99 / 100]};
}

timing median(std::vector<timing> all) {
  std::sort(all.begin(), all.end(),
            [](const timing& a, const timing& b) { return a.rows_per_second < b.rows_per_second; });
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

  std::string name = (std::filesystem::temp_directory_path() / "bench-journal-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) die("cannot make " + name);
  const std::filesystem::path directory = name;
  {
    ids bare_ids(chosen.ordered_ids);
    ids our_ids(chosen.ordered_ids);
    bare_sqlite plain(directory / "bare.sqlite");
    ours journal(directory / "data", chosen.destinations);
    for (std::uint64_t done = 0; done < chosen.before; done += 1000) {
      plain.commit(bare_sqlite::ready(make_batch(bare_ids, 1000, chosen.destinations)));
      journal.commit(make_batch(our_ids, 1000, chosen.destinations));
    }
    std::printf("ids %s, %u destinations, %llu messages before, median of %d rounds of %llu\n",
                chosen.ordered_ids ? "by time" : "random", chosen.destinations,
                static_cast<unsigned long long>(chosen.before), chosen.rounds,
                static_cast<unsigned long long>(chosen.messages));
    std::printf("%6s %12s %12s %6s %12s %12s\n", "batch", "bare rows/s", "ours rows/s", "ratio", "bare p99 ms",
                "ours p99 ms");
    for (const std::size_t batch : {1U, 10U, 100U, 1000U}) {
      std::vector<timing> bare_timings;
      std::vector<timing> our_timings;
      for (int round = 0; round < chosen.rounds; ++round) {
        bare_timings.push_back(measure(plain, bare_ids, chosen, batch));
        our_timings.push_back(measure(journal, our_ids, chosen, batch));
      }
      const timing theirs = median(bare_timings);
      const timing mine = median(our_timings);
      std::printf("%6zu %12.0f %12.0f %6.2f %12.2f %12.2f\n", batch, theirs.rows_per_second, mine.rows_per_second,
                  mine.rows_per_second / theirs.rows_per_second, theirs.p99_ms, mine.p99_ms);
      const auto figure = "durable acceptance, batches of " + std::to_string(batch);
      report({figure, rounded(mine.rows_per_second, 0) + "/s", rounded(theirs.rows_per_second, 0) + "/s (bare SQLite)",
              rounded(mine.rows_per_second / theirs.rows_per_second, 2), "at least 0.8"});
      report({figure + ": p99", rounded(mine.p99_ms, 2) + " ms", rounded(theirs.p99_ms, 2) + " ms (bare SQLite)",
              rounded(mine.p99_ms / theirs.p99_ms, 2), "at most 1"});
    }
  }
  std::filesystem::remove_all(directory);
}

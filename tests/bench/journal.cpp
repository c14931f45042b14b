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
#include <random>
#include <string>
#include <vector>

#include <sqlite3.h>

#include "reseq/store/sqlite/sqlite_journal.hpp"

namespace {

using namespace reseq;

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

class ids {
public:
  explicit ids(bool ordered) : ordered_(ordered) {}

  /// As UUID text: version 7 or 4.
  std::string next() {
    const std::uint64_t high =
      ordered_ ? ((1'700'000'000'000 + count_++ / 80) << 16U) | (random_() & 0xffffU) : random_();
    const std::uint64_t low = random_();
    std::string text(37, '\0');
    std::snprintf(text.data(), text.size(), "%08x-%04x-%04x-%04x-%012llx", static_cast<unsigned>(high >> 32U),
                  static_cast<unsigned>((high >> 16U) & 0xffffU), static_cast<unsigned>(high & 0xffffU),
                  static_cast<unsigned>(low >> 48U), static_cast<unsigned long long>(low & 0xffffffffffffU));
    text.pop_back();
    return text;
  }

private:
  bool ordered_;
  std::uint64_t count_ = 0;
  std::mt19937_64 random_{1};
};

std::vector<submission> make_batch(ids& from, std::size_t size, std::uint32_t destinations) {
  static const std::string payload(1024, 'p');
  std::vector<submission> out(size);
  for (auto& one : out) {
    content body{
      payload, "application/json", {{"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}};
    one.message = std::make_shared<const message>(from.next(), "", std::move(body));
    for (std::uint32_t i = 1; i <= destinations; ++i) one.routes.emplace_back(i);
  }
  return out;
}

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "bench-journal: %s\n", why.c_str());
  std::exit(1);
}

/// A table with the same columns, a 16-byte unique id, and SQLite's own checkpoints.
class bare {
public:
  explicit bare(const std::filesystem::path& file) {
    if (sqlite3_open(file.c_str(), &db_) != SQLITE_OK) die("cannot open");
    run(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;"
      "CREATE TABLE message (position INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, accepted_ms INTEGER, enrolled TEXT,"
      "fingerprint BLOB, key TEXT, content_type TEXT, headers TEXT, payload BLOB)");
    sqlite3_prepare_v2(db_, "INSERT INTO message VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", -1, &insert_, nullptr);
  }
  ~bare() {
    sqlite3_finalize(insert_);
    sqlite3_close(db_);
  }
  bare(const bare&) = delete;
  bare& operator=(const bare&) = delete;

  struct row {
    std::string id; ///< the UUID's 16 bytes
    std::string enrolled;
    std::string headers;
    submission from;
  };
  using batch = std::vector<row>;

  /// Everything but SQLite's own work, so that it is not counted.
  static batch ready(std::vector<submission> submissions) {
    batch rows;
    for (auto& one : submissions) {
      const auto& header = one.message->headers()[0];
      std::string enrolled(one.routes.size() * 9, '1');
      rows.push_back(
        {uuid_bytes(one.message->id()), std::move(enrolled), header.name + ": " + header.value + "\n", std::move(one)});
    }
    return rows;
  }

  void commit(batch rows) {
    run("BEGIN IMMEDIATE");
    for (const auto& one : rows) insert(one);
    run("COMMIT");
  }

private:
  void run(const char* sql) {
    if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) die(sqlite3_errmsg(db_));
  }

  static std::string uuid_bytes(const std::string& text) {
    std::string bytes;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
      if (text[i] == '-') ++i;
      bytes += static_cast<char>(std::strtoul(text.substr(i, 2).c_str(), nullptr, 16));
    }
    return bytes;
  }

  void insert(const row& one) {
    const auto& body = one.from.message->body();
    const auto bytes = [&](int column, const std::string& value) {
      sqlite3_bind_blob(insert_, column, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
    };
    bytes(1, one.id);
    sqlite3_bind_int64(insert_, 2, 1'700'000'000'000);
    bytes(3, one.enrolled);
    sqlite3_bind_blob(insert_, 4, one.from.fingerprint.data(), 16, SQLITE_STATIC);
    bytes(5, one.from.message->key());
    bytes(6, body.content_type);
    bytes(7, one.headers);
    bytes(8, body.payload);
    if (sqlite3_step(insert_) != SQLITE_DONE) die(sqlite3_errmsg(db_));
    sqlite3_reset(insert_);
  }

  sqlite3* db_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
};

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
    bare plain(directory / "bare.sqlite");
    ours journal(directory / "data", chosen.destinations);
    for (std::uint64_t done = 0; done < chosen.before; done += 1000) {
      plain.commit(bare::ready(make_batch(bare_ids, 1000, chosen.destinations)));
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
    }
  }
  std::filesystem::remove_all(directory);
}

// What is particular to SQLite: the lock, foreign and newer files, full disks, long logs.

#include <array>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "journal_fixture.hpp"
#include "reseq/store/sqlite/sqlite_journal.hpp"

namespace reseq::test {

using store::sqlite::open_sqlite;
using store::sqlite::sqlite_options;

namespace {

std::string whole_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void run_sql(const std::filesystem::path& file, const char* sql) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(file.c_str(), &db) == SQLITE_OK);
  REQUIRE(sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(db);
}

/// Runs `body` in a process of its own; whether it returned true.
template <class Body>
bool in_child(Body body) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    bool good = false;
    try {
      good = body();
    } catch (...) {
    }
    _exit(good ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::uint64_t rows_in(const std::filesystem::path& file, const std::string& table) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(file.c_str(), &db) == SQLITE_OK);
  std::uint64_t rows = 0;
  const auto count = [](void* out, int, char** values, char**) {
    *static_cast<std::uint64_t*>(out) = std::stoull(values[0]);
    return 0;
  };
  REQUIRE(sqlite3_exec(db, ("SELECT count(*) FROM " + table).c_str(), count, &rows, nullptr) == SQLITE_OK);
  sqlite3_close(db);
  return rows;
}

} // namespace

TEST_CASE("a data directory belongs to one process, and the refusal names it") {
  const scratch_directory directory;
  std::array<int, 2> ready{};
  std::array<int, 2> leave{};
  REQUIRE(pipe(ready.data()) == 0);
  REQUIRE(pipe(leave.data()) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  char byte = 'x';
  if (child == 0) {
    close(leave[1]);
    const auto journal = open_sqlite(directory.path());
    const bool told = ::write(ready[1], &byte, 1) == 1;
    while (::read(leave[0], &byte, 1) > 0) {
    }
    _exit(told && journal.has_value() ? 0 : 1);
  }
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  const auto refused = open_sqlite(directory.path());
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == errc::incompatible);
  CHECK(refused.error().text().find("in use by process " + std::to_string(child)) != std::string::npos);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  CHECK(open_sqlite(directory.path()).has_value());
  for (const int end : {ready[0], ready[1], leave[0], leave[1]}) close(end);
}

TEST_CASE("a file of the first version is brought up to date, and what it holds stays") {
  const scratch_directory directory;
  {
    opened shard(must(open_sqlite(directory.path())), specs(1));
    must(shard.commit(submit_many("m", 1, 5)));
    shard.settle(1, 3);
  }
  run_sql(directory.path() / "journal.sqlite",
          "DROP TABLE parked; ALTER TABLE progress DROP COLUMN reached; ALTER TABLE progress DROP COLUMN unsettled; "
          "ALTER TABLE progress DROP COLUMN settled; "
          "DROP TABLE lost; DROP TABLE recovery; PRAGMA user_version = 1");
  opened shard(must(open_sqlite(directory.path())), specs(1));
  CHECK(shard.state.destinations[0].progress ==
        core::progress_record{destination_id{1}, sequence{3}, {}, sequence{3}, 0, false});
  CHECK(shard.read(1, 1).size() == 5);
}

TEST_CASE("a file of a newer version, of another program or of no database is refused and not touched") {
  const scratch_directory directory;
  const auto file = directory.path() / "journal.sqlite";
  auto expected = errc::incompatible;
  std::string words;
  SECTION("newer") {
    must(open_sqlite(directory.path()));
    run_sql(file, "PRAGMA user_version = 99; PRAGMA wal_checkpoint(TRUNCATE)");
    words = "newer";
  }
  SECTION("another program's, which says so") {
    run_sql(file, "PRAGMA application_id = 4711; CREATE TABLE t (a)");
    words = "another program";
  }
  SECTION("another program's, which does not say so") {
    run_sql(file, "CREATE TABLE t (a)");
    words = "another program";
  }
  SECTION("no database") {
    std::ofstream(file) << std::string(5000, 'x');
    expected = errc::corrupt;
    words = "not an SQLite database";
  }
  const auto before = whole_file(file);
  const auto refused = open_sqlite(directory.path());
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == expected);
  CHECK(refused.error().text().find(words) != std::string::npos);
  CHECK(whole_file(file) == before);
}

TEST_CASE("a directory that cannot be made is a transient error that names it") {
  const scratch_directory directory;
  std::ofstream(directory.path() / "file") << "x";
  const auto refused = open_sqlite(directory.path() / "file" / "data");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == errc::unavailable);
  CHECK(refused.error().where.find("data") != std::string::npos);
}

TEST_CASE("a full database refuses without losing its place, and forgetting makes room") {
  const scratch_directory directory;
  sqlite_options options;
  options.max_bytes = 1U << 20U;
  opened shard(must(open_sqlite(directory.path(), options)), specs(1));
  std::uint64_t accepted = 0;
  result<store::shard_committed> last;
  for (;; accepted += 10) {
    last = shard.commit(submit_many("m", accepted, 10, {1}, std::string(1000, 'x')));
    if (!last) break;
    REQUIRE(accepted < 10'000);
  }
  CHECK(last.error().code == errc::no_space);
  CHECK(shard.read(1, accepted + 1).empty());
  shard.settle(1, accepted / 2);
  CHECK(must(shard->expire(shard.state.handle, at_ms(5000), at_ms(10'000), 1000)) == accepted / 2);
  const auto again = must(shard.commit({submit("m" + std::to_string(accepted))}));
  CHECK(again.receipts[0]->at == position{accepted + 1});
  CHECK_FALSE(again.receipts[0]->duplicate);
}

TEST_CASE("after the disk was full, commits go on in the same process") {
  const scratch_directory directory;
  CHECK(in_child([&] {
    signal(SIGXFSZ, SIG_IGN);
    opened shard(must(open_sqlite(directory.path())), specs(1));
    must(shard.commit({submit("before")}));
    rlimit room{};
    getrlimit(RLIMIT_FSIZE, &room);
    const rlim_t plenty = room.rlim_cur;
    room.rlim_cur = 200'000;
    setrlimit(RLIMIT_FSIZE, &room);
    const auto refused = shard.commit(submit_many("m", 0, 500, {1}, std::string(1000, 'x')));
    if (refused || refused.error().code != errc::no_space) return false;
    room.rlim_cur = plenty;
    setrlimit(RLIMIT_FSIZE, &room);
    const auto again = must(shard.commit(submit_many("m", 0, 500, {1}, std::string(1000, 'x'))));
    return again.receipts[0] == receipt{"m0", false, position{2}} && shard.read(1, 1).size() == 501;
  }));
  opened shard(must(open_sqlite(directory.path())), specs(1));
  CHECK(shard.state.last == position{501});
}

TEST_CASE("reads on one thread see whole backlogs while another commits, indexes and checkpoints") {
  const scratch_directory directory;
  sqlite_options options;
  options.indexes = {16, 64};
  options.wal = {64U << 10U, 256U << 10U};
  opened shard(must(open_sqlite(directory.path(), options)), specs(2));
  constexpr std::uint64_t count = 3000;
  std::thread writer([&] {
    for (std::uint64_t i = 0; i < count; i += 10) {
      const std::vector<store::shard_commit> batch{{shard.state.handle, submit_many("m", i, 10, {1, 2}), {}}};
      if (!shard->commit(batch, at_ms(1))) return;
    }
  });
  std::uint64_t read = 0;
  std::uint64_t gaps = 0;
  std::uint64_t unknown = 0;
  while (read < count) {
    for (const auto& item : shard.read(1, read + 1, 100)) {
      if (item.seq.value() != ++read) ++gaps;
      if (item.message->id() != "m" + std::to_string(read - 1)) ++gaps;
    }
    if (read > 0 && must(shard->find_id(shard.state.handle, "m" + std::to_string(read - 1))) != position{read})
      ++unknown;
  }
  writer.join();
  CHECK(gaps == 0);
  CHECK(unknown == 0);
  CHECK(std::filesystem::file_size(directory.path() / "journal.sqlite-wal") < 4U << 20U);
}

TEST_CASE("the log's file is made as long as it gets, and what a crash leaves of that means nothing") {
  const scratch_directory directory;
  sqlite_options options;
  options.wal = {1U << 20U, 8U << 20U};
  constexpr std::uintmax_t as_long_as_it_gets = (256 + 256) * (4096 + 24); // what waits, and the writer's last frames
  opened journal(must(open_sqlite(directory.path(), options)), specs(1));
  const auto log = directory.path() / "journal.sqlite-wal";
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{30};
  while (std::filesystem::file_size(log) < as_long_as_it_gets && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  const auto size = std::filesystem::file_size(log);
  REQUIRE(size >= as_long_as_it_gets);
  must(journal.commit(submit_many("m-", 1, 100)));
  CHECK(std::filesystem::file_size(log) == size);

  const scratch_directory crashed;
  for (const auto* file : {"journal.sqlite", "journal.sqlite-wal"})
    std::filesystem::copy_file(directory.path() / file, crashed.path() / file);
  opened after(must(open_sqlite(crashed.path(), options)), specs(1));
  CHECK(after.read(1, 1).size() == 100);
}

TEST_CASE("what start-up has to scan is bounded, however many messages there are") {
  const scratch_directory directory;
  sqlite_options options;
  options.indexes = {32, 200};
  {
    opened shard(must(open_sqlite(directory.path(), options)), specs(50));
    for (std::uint32_t i = 0; i < 100; ++i)
      must(shard.commit(submit_many("m" + std::to_string(i) + "-", 0, 20, {i % 49 + 1, 50})));
  }
  const auto file = directory.path() / "journal.sqlite";
  CHECK(rows_in(file, "message") == 2000);
  CHECK(rows_in(file, "journal, shard WHERE position > indexed_position") <= 400);
  opened shard(must(open_sqlite(directory.path(), options)), specs(50));
  CHECK(shard.state.destinations[49].last == sequence{2000});
  CHECK(shard.state.destinations[0].last == sequence{60});
}

} // namespace reseq::test

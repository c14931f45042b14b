// Disks that fail at every n-th call of each kind: what was confirmed is there, what was not is there wholly or not at
// all, and the journal in memory agrees with its file.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faulty_vfs.hpp"
#include "journal_fixture.hpp"
#include "reseq/store/sqlite/sqlite_journal.hpp"

namespace reseq::test {

using store::sqlite::open_sqlite;
using store::sqlite::sqlite_options;

namespace {

constexpr std::uint64_t steps = 24;

submission message_called(const std::string& id) { return submit(id, {1, 2}, std::string(700, 'x')); }

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// What one destination's saved progress is.
core::progress_record settled_up_to(std::uint32_t destination, std::uint64_t upto) {
  return {destination_id{destination}, sequence{upto}, {}, sequence{upto}, 0, false};
}

core::held_record held_at(std::uint64_t at) {
  return {destination_id{2}, sequence{at}, position{at}, core::hold_reason::exhausted, 3, "why", at_ms(7)};
}

/// All that the journal has confirmed. Every message goes to both destinations: sequences equal positions.
struct confirmed {
  std::vector<std::string> ids; ///< by position
  std::map<std::uint32_t, std::uint64_t> settled;
  std::vector<std::uint64_t> held;
};

/// What the one commit that failed last wanted: it may be found after a crash, wholly or not at all.
struct wanted {
  std::vector<std::string> ids;
  std::map<std::uint32_t, std::uint64_t> settled;
  std::vector<std::uint64_t> held;
};

confirmed with(confirmed known, const wanted& more) {
  known.ids.insert(known.ids.end(), more.ids.begin(), more.ids.end());
  for (const auto& [destination, upto] : more.settled) known.settled[destination] = upto;
  known.held.insert(known.held.end(), more.held.begin(), more.held.end());
  return known;
}

/// Empty if the shard is as `known` says; else what differs.
std::string difference(opened& shard, const confirmed& known) {
  const std::uint64_t count = known.ids.size();
  if (shard.state.last != position{count}) return "last position " + std::to_string(shard.state.last.value());
  for (std::uint32_t destination = 1; destination <= 2; ++destination) {
    const auto& found = shard.state.destinations[destination - 1];
    if (found.last != sequence{count}) return "last sequence " + std::to_string(found.last.value());
    const auto upto = known.settled.find(destination);
    if (found.progress.watermark.value() != (upto == known.settled.end() ? 0 : upto->second)) return "progress";
  }
  std::vector<std::uint64_t> held;
  for (const auto& record : shard.state.destinations[1].held) held.push_back(record.seq.value());
  return held == known.held ? "" : "held";
}

void check_messages(opened& shard, const confirmed& known) {
  for (std::uint32_t destination = 1; destination <= 2; ++destination) {
    std::uint64_t read = 0;
    for (auto items = shard.read(destination, 1); !items.empty(); items = shard.read(destination, read + 1))
      for (const auto& item : items) {
        REQUIRE(item.seq.value() == ++read);
        REQUIRE(item.at.value() == read);
        REQUIRE(item.message->id() == known.ids.at(read - 1));
      }
    REQUIRE(read == known.ids.size());
  }
  for (std::uint64_t at = 1; at <= known.ids.size(); ++at)
    REQUIRE(must(shard->find_id(shard.state.handle, known.ids[at - 1])) == position{at});
}

/// Every confirmed id gets its first receipt again; a new one the next position.
void check_receipts(opened& shard, const confirmed& known, const std::string& fresh) {
  std::vector<submission> again;
  for (const auto& id : known.ids) again.push_back(message_called(id));
  again.push_back(message_called(fresh));
  const auto receipts = must(shard.commit(std::move(again))).receipts;
  for (std::uint64_t at = 1; at <= known.ids.size() + 1; ++at) {
    const bool duplicate = at <= known.ids.size();
    REQUIRE(receipts[at - 1] == receipt{duplicate ? known.ids[at - 1] : fresh, duplicate, position{at}});
  }
}

/// Reads once, and stays.
class an_operators_shell {
public:
  explicit an_operators_shell(const std::filesystem::path& file) {
    REQUIRE(sqlite3_open(file.c_str(), &db_) == SQLITE_OK);
    REQUIRE(sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr) == SQLITE_OK);
    REQUIRE(sqlite3_exec(db_, "SELECT count(*) FROM message", nullptr, nullptr, nullptr) == SQLITE_OK);
  }
  ~an_operators_shell() { sqlite3_close(db_); }
  an_operators_shell(const an_operators_shell&) = delete;
  an_operators_shell& operator=(const an_operators_shell&) = delete;

private:
  sqlite3* db_ = nullptr;
};

class faulted_run {
public:
  faulted_run(const disk_fault& fault, std::uint64_t seed)
    : disk_(seed), fault_(fault), random_(seed), data_(directory_.path() / "data") {
    options_.indexes = {4, 16};
    if (seed % 2 == 0) options_.wal = {32U << 10U, 64U << 10U};
    options_.wal.lengthen = false; // the disk that fails here does not see it
  }

  /// Opens, runs the steps with the fault armed, and checks what is left. False if the fault was never reached.
  bool run() {
    disk_.arm(fault_);
    auto first = open();
    if (!first) {
      disk_.mend();
      first = open();
    }
    shard_ = &*first;
    for (std::uint64_t step = 0; step < steps; ++step) {
      const bool done = one_step(step);
      if (!done && disk_.mend()) reached_ = true;
      if (!done) check_after_crash();
    }
    reached_ = disk_.mend() || reached_;
    if (!reached_) return false;
    check_messages(*shard_, known_);
    check_receipts(*shard_, known_, "last");
    known_.ids.push_back("last");
    failed_ = {};
    check_after_crash();
    first.reset();
    check_at(data_, "after closing");
    return true;
  }

private:
  std::optional<opened> open() {
    auto journal = open_sqlite(data_, options_);
    if (!journal) return refused(journal.error());
    try {
      return std::make_optional<opened>(std::move(*journal), specs(2));
    } catch (const std::runtime_error&) {
      return std::nullopt;
    }
  }

  std::nullopt_t refused(const error& why) {
    INFO(why.text());
    CHECK((why.code == errc::unavailable || why.code == errc::no_space));
    if (fault_.full && fault_.call == disk_call::write) CHECK(why.code == errc::no_space);
    return std::nullopt;
  }

  /// One commit of messages, or of progress and a held message, or of all; or a look. Whether it worked.
  bool one_step(std::uint64_t step) {
    if (step % 5 == 4) return look();
    wanted more;
    core::journal_change change;
    if (step % 3 != 2)
      for (std::uint64_t i = 0; i <= random_() % 8; ++i)
        more.ids.push_back("m" + std::to_string(step) + "-" + std::to_string(i));
    const std::uint64_t count = known_.ids.size();
    if (step % 3 != 0 && count > 0) {
      const std::uint32_t destination = 1 + step % 2;
      const std::uint64_t before = known_.settled[destination];
      more.settled[destination] = before + random_() % (count - before + 1);
      change.progress.push_back(settled_up_to(destination, more.settled[destination]));
      if (step > 8 && known_.held.size() < 3 && (known_.held.empty() || known_.held.back() < count)) {
        more.held.push_back(count);
        change.held.push_back(held_at(count));
      }
    }
    std::vector<submission> messages;
    for (const auto& id : more.ids) messages.push_back(message_called(id));
    const auto done = shard_->commit(std::move(messages), std::move(change));
    if (!done) {
      refused(done.error());
      failed_ = std::move(more);
      return false;
    }
    for (std::size_t i = 0; i < more.ids.size(); ++i)
      REQUIRE(done->receipts[i] == receipt{more.ids[i], false, position{known_.ids.size() + i + 1}});
    known_ = with(std::move(known_), more);
    failed_ = {};
    return true;
  }

  bool look() {
    const auto items = (*shard_)->read(shard_->state.handle, destination_id{1}, sequence{1}, 1000, 1U << 30U);
    if (!items) {
      refused(items.error());
      return false;
    }
    REQUIRE(items->size() == known_.ids.size());
    return true;
  }

  void check_after_crash() {
    const auto number = std::to_string(++crashes_);
    disk_.copy_after_kill(data_, directory_.path() / ("killed" + number));
    disk_.copy_after_power_loss(data_, directory_.path() / ("dark" + number));
    check_at(directory_.path() / ("killed" + number), "after a kill");
    check_at(directory_.path() / ("dark" + number), "after a power failure");
  }

  void check_at(const std::filesystem::path& place, const std::string& when) {
    INFO(when);
    opened found(must(open_sqlite(place, options_)), specs(2));
    const auto without = difference(found, known_);
    const auto whole = with(known_, failed_);
    const auto including = difference(found, whole);
    INFO("without what failed: " << without << "; with it: " << including);
    REQUIRE((without.empty() || including.empty()));
    check_messages(found, without.empty() ? known_ : whole);
    check_receipts(found, without.empty() ? known_ : whole, "fresh");
  }

  scratch_directory directory_;
  faulty_disk disk_;
  disk_fault fault_;
  std::mt19937_64 random_;
  std::filesystem::path data_;
  sqlite_options options_;
  opened* shard_ = nullptr;
  confirmed known_;
  wanted failed_;
  bool reached_ = false;
  std::uint64_t crashes_ = 0;
};

/// Fails the first, second, … call of a kind until a run does not get that far; with gaps, unless rounds are asked for.
void check_every_call(disk_fault fault) {
  const std::uint64_t seed = from_environment("RESEQ_TEST_SEED", std::random_device{}());
  const std::uint64_t rounds = from_environment("RESEQ_TEST_ROUNDS", 40);
  std::mt19937_64 random(seed);
  std::uint64_t reached = 0;
  for (std::uint64_t round = 0; round < rounds; ++round, fault.at += 1 + (round > 12 ? random() % 12 : 0)) {
    INFO("RESEQ_TEST_SEED=" << seed << ", call " << fault.at);
    if (!faulted_run(fault, seed + round).run()) break;
    ++reached;
  }
  CHECK(reached > 0);
}

/// Whether another process finds that this one uses the index of the log: else it would take it for left over.
bool index_is_in_use(const std::filesystem::path& data) {
  const std::string index = (data / "journal.sqlite-shm").string();
  const pid_t child = fork();
  if (child == 0) {
    struct flock wanted {};
    wanted.l_type = F_WRLCK;
    wanted.l_start = 128; // where SQLite keeps the lock of whoever has it open
    wanted.l_len = 1;
    const int file = ::open(index.c_str(), O_RDWR);
    _exit(file >= 0 && fcntl(file, F_GETLK, &wanted) == 0 && wanted.l_type != F_UNLCK ? 0 : 1);
  }
  int status = 1;
  return waitpid(child, &status, 0) == child && status == 0;
}

/// Commits beside the thread that copies the log, with one sync of the database that fails, while somebody else has the
/// database open; then the power goes: while it runs, or after it was opened again and closed. False if that sync was
/// never reached.
bool run_with_a_database_unsynced(std::uint64_t failing_sync, std::uint64_t seed, bool again) {
  const scratch_directory directory;
  const auto data = directory.path() / "data";
  const auto dark = directory.path() / "dark";
  faulty_disk disk(seed);
  sqlite_options options;
  options.wal = {64U << 10U, 128U << 10U, false};
  confirmed known;
  auto shard = std::make_optional<opened>(must(open_sqlite(data, options)), specs(2));
  const auto commit_some = [&](std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t i = from; i < to; ++i)
      if (const auto id = "m" + std::to_string(i); shard->commit({message_called(id)})) known.ids.push_back(id);
  };
  const an_operators_shell shell(data / "journal.sqlite");
  disk.dawdle_over("journal.sqlite"); // so that commits come in the middle of copying
  disk.arm({.call = disk_call::sync, .at = failing_sync, .only = "journal.sqlite"});
  commit_some(0, 300);
  CHECK(index_is_in_use(data));
  if (!disk.mend()) return false;
  if (again) {
    shard.reset();
    shard.emplace(must(open_sqlite(data, options)), specs(2));
    commit_some(300, 310);
    shard.reset();
  }
  disk.copy_after_power_loss(data, dark);
  opened found(must(open_sqlite(dark, options)), specs(2));
  REQUIRE(difference(found, known).empty());
  check_messages(found, known);
  return true;
}

} // namespace

TEST_CASE("a database that could not be synced is not taken for whole once a later sync succeeds") {
  const std::uint64_t seed = from_environment("RESEQ_TEST_SEED", std::random_device{}());
  const std::uint64_t rounds = from_environment("RESEQ_TEST_ROUNDS", 40);
  std::uint64_t reached = 0;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    INFO("RESEQ_TEST_SEED=" << seed << ", sync " << 1 + round % 20);
    reached += run_with_a_database_unsynced(1 + round % 20, seed + round, round / 20 % 2 == 1) ? 1 : 0;
  }
  CHECK(reached > 0);
}

TEST_CASE("an empty commit works only where another one would, and leaves nothing behind") {
  const scratch_directory directory;
  faulty_disk disk(1);
  opened shard(must(open_sqlite(directory.path() / "data", {})), specs(2));
  REQUIRE(shard.commit({message_called("a")}));
  REQUIRE(shard.commit({}));
  const bool full = GENERATE(false, true);
  const auto call = GENERATE(disk_call::write, disk_call::sync);
  CAPTURE(full, static_cast<int>(call));
  disk.arm({.call = call, .at = 1, .stays = true, .full = full});
  for (int i = 0; i < 3; ++i) {
    const auto refused = shard.commit({});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().transient());
  }
  disk.mend();
  CHECK(shard.commit({}));
  CHECK(must(shard.commit({message_called("a")})).receipts.at(0) == receipt{"a", true, position{1}});
  CHECK(must(shard.commit({message_called("b")})).receipts.at(0) == receipt{"b", false, position{2}});
}

TEST_CASE("a call to the disk that fails once loses nothing that was confirmed and leaves nothing half") {
  const auto call = GENERATE(disk_call::open, disk_call::read, disk_call::write, disk_call::sync, disk_call::size,
                             disk_call::lock, disk_call::shm_map, disk_call::remove);
  CAPTURE(static_cast<int>(call));
  check_every_call({call});
}

TEST_CASE("a disk that stays broken or full for a while refuses, and goes on when it is mended") {
  const bool full = GENERATE(false, true);
  const auto call = GENERATE(disk_call::write, disk_call::sync);
  CAPTURE(full, static_cast<int>(call));
  check_every_call({.call = call, .stays = true, .full = full});
}

TEST_CASE("a write that fails half done leaves nothing half") {
  check_every_call({.stays = GENERATE(false, true), .full = GENERATE(false, true), .torn = true});
}

} // namespace reseq::test

// Data directories that are torn, foreign or not ours to write: a clear refusal, and nothing is touched.

#include <algorithm>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "journal_fixture.hpp"
#include "reseq/store/sqlite/checkpointer.hpp"
#include "reseq/store/sqlite/connection.hpp"
#include "reseq/store/sqlite/sqlite_journal.hpp"

namespace reseq::test {

namespace fs = std::filesystem;
using store::sqlite::checkpointer;
using store::sqlite::connection;
using store::sqlite::open_sqlite;
using store::sqlite::sqlite_options;

namespace {

constexpr std::uint64_t messages = 300;

std::string contents(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// What stands in a directory. The lock is ours to write; SQLite makes its index of the log anew.
std::map<std::string, std::pair<std::string, fs::file_time_type>> everything_in(const fs::path& directory) {
  std::map<std::string, std::pair<std::string, fs::file_time_type>> found;
  for (const auto& entry : fs::directory_iterator(directory)) {
    const auto name = entry.path().filename().string();
    if (name == "lock" || name.ends_with("-shm")) continue;
    const bool file = fs::is_regular_file(entry.symlink_status());
    if (file && fs::file_size(entry.path()) == 0 && name.ends_with("-wal")) continue;
    found[name] = {file ? contents(entry.path()) : "", file ? entry.last_write_time() : fs::file_time_type{}};
  }
  return found;
}

void copy_log_into_database(const fs::path& data, int how) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open((data / "journal.sqlite").c_str(), &db) == SQLITE_OK);
  sqlite3_busy_timeout(db, 10'000); // the journal may be lengthening its log
  REQUIRE(sqlite3_exec(db, "SELECT count(*) FROM message", nullptr, nullptr, nullptr) == SQLITE_OK);
  REQUIRE(sqlite3_wal_checkpoint_v2(db, nullptr, how, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(db);
}

/// A directory as a killed process left it: part of the messages in the database, the rest only in the log.
void make_killed(const fs::path& place) {
  const scratch_directory directory;
  opened shard(must(open_sqlite(directory.path() / "data")), specs(1));
  must(shard.commit(submit_many("m", 0, messages / 2, {1}, std::string(1000, 'x'))));
  copy_log_into_database(directory.path() / "data", SQLITE_CHECKPOINT_RESTART);
  for (std::uint64_t i = messages / 2; i < messages; i += 10)
    must(shard.commit(submit_many("m", i, 10, {1}, std::string(1000, 'x'))));
  fs::copy(directory.path() / "data", place);
}

void cut(const fs::path& file, double part) {
  fs::resize_file(file, static_cast<std::uintmax_t>(static_cast<double>(fs::file_size(file)) * part));
}

/// Only a part of what was written to the log; behind that, its file holds zeros.
void cut_log(const fs::path& file, double part) {
  const auto written = contents(file).find_last_not_of('\0') + 1;
  fs::resize_file(file, static_cast<std::uintmax_t>(static_cast<double>(written) * part));
}

error refusal(const fs::path& data) {
  auto journal = open_sqlite(data);
  if (!journal) return journal.error();
  const auto shard = (*journal)->open({"orders", 0}, {"{}"}, specs(1));
  return shard ? error{} : shard.error();
}

struct damage {
  std::string name;
  std::function<void(const fs::path& data)> inflict;
  errc expected;
  std::string words;
};

const std::vector<damage>& all_damage() {
  static const std::vector<damage> all = {
    {"its log is missing", [](const fs::path& data) { fs::remove(data / "journal.sqlite-wal"); }, errc::diverged,
     "messages up to 300 were confirmed"},
    {"its log is cut", [](const fs::path& data) { cut_log(data / "journal.sqlite-wal", 0.7); }, errc::diverged,
     "messages up to 300 were confirmed"},
    {"its log is empty", [](const fs::path& data) { fs::resize_file(data / "journal.sqlite-wal", 0); }, errc::diverged,
     "messages up to 300 were confirmed"},
    {"a byte of its log is another",
     [](const fs::path& data) {
       std::fstream log(data / "journal.sqlite-wal", std::ios::in | std::ios::out | std::ios::binary);
       log.seekp(20'000);
       log.put('\x7f');
     },
     errc::diverged, "messages up to 300 were confirmed"},
    {"the database is missing", [](const fs::path& data) { fs::remove(data / "journal.sqlite"); }, errc::corrupt,
     "missing or empty"},
    {"the database is empty", [](const fs::path& data) { fs::resize_file(data / "journal.sqlite", 0); }, errc::corrupt,
     "missing or empty"},
    {"database and log are missing",
     [](const fs::path& data) {
       fs::remove(data / "journal.sqlite");
       fs::remove(data / "journal.sqlite-wal");
     },
     errc::corrupt, "missing or empty"},
    {"the database is cut at a page",
     [](const fs::path& data) { fs::resize_file(data / "journal.sqlite", std::uintmax_t{4096} * 20); }, errc::corrupt,
     "it is cut: 81920 bytes"},
    {"the database is cut within a page", [](const fs::path& data) { cut(data / "journal.sqlite", 0.3333); },
     errc::corrupt, "it is cut"},
    {"the database is cut in its header", [](const fs::path& data) { fs::resize_file(data / "journal.sqlite", 50); },
     errc::corrupt, "not an SQLite database"},
    {"the database begins with something else",
     [](const fs::path& data) {
       std::fstream file(data / "journal.sqlite", std::ios::in | std::ios::out | std::ios::binary);
       file << "garbage";
     },
     errc::corrupt, "not an SQLite database"},
    {"a directory stands in its place",
     [](const fs::path& data) {
       fs::remove(data / "journal.sqlite");
       fs::create_directory(data / "journal.sqlite");
     },
     errc::incompatible, "is no file"},
    {"a pipe stands in its place",
     [](const fs::path& data) {
       fs::remove(data / "journal.sqlite");
       REQUIRE(mkfifo((data / "journal.sqlite").c_str(), 0600) == 0);
     },
     errc::incompatible, "is no file"},
    {"a link stands in its place",
     [](const fs::path& data) {
       fs::rename(data / "journal.sqlite", data / "elsewhere");
       fs::create_symlink("elsewhere", data / "journal.sqlite");
     },
     errc::incompatible, "symbolic link"},
    {"a link to nothing stands in its place",
     [](const fs::path& data) {
       fs::remove(data / "journal.sqlite");
       fs::create_symlink("nowhere", data / "journal.sqlite");
     },
     errc::incompatible, "symbolic link"},
    {"the log is a directory",
     [](const fs::path& data) {
       fs::remove(data / "journal.sqlite-wal");
       fs::create_directory(data / "journal.sqlite-wal");
     },
     errc::incompatible, "is no file"},
  };
  return all;
}

/// Runs `body` as somebody who may not write what root owns; what it returned.
int as_nobody(const std::function<int()>& body) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(99);
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

/// Another program that copies the log into the database, and takes 100 ms for it: it has SQLite's lock for that.
class copying_program {
public:
  explicit copying_program(const std::string& index) {
    int locked[2];
    REQUIRE(pipe(locked) == 0);
    child_ = fork();
    REQUIRE(child_ >= 0);
    if (child_ == 0) {
      struct flock wanted {};
      wanted.l_type = F_WRLCK;
      wanted.l_start = 121; // WAL_CKPT_LOCK
      wanted.l_len = 1;
      const int file = ::open(index.c_str(), O_RDWR);
      const char done = file >= 0 && fcntl(file, F_SETLK, &wanted) == 0 ? 'y' : 'n';
      if (write(locked[1], &done, 1) == 1) usleep(100'000);
      _exit(0);
    }
    char done = 'n';
    const bool heard = read(locked[0], &done, 1) == 1;
    close(locked[0]);
    close(locked[1]);
    REQUIRE(heard);
    REQUIRE(done == 'y');
  }
  ~copying_program() { waitpid(child_, nullptr, 0); }
  copying_program(const copying_program&) = delete;
  copying_program& operator=(const copying_program&) = delete;

private:
  pid_t child_ = -1;
};

/// A file system of its own, if this user may mount one.
class small_disk {
public:
  explicit small_disk(fs::path where) : where_(std::move(where)) {
    fs::create_directory(where_);
    mounted_ = mount("tmpfs", where_.c_str(), "tmpfs", 0, "size=2m") == 0;
    if (!mounted_) WARN("left out: this needs a user who may mount");
  }
  ~small_disk() {
    if (mounted_) umount(where_.c_str());
  }
  small_disk(const small_disk&) = delete;
  small_disk& operator=(const small_disk&) = delete;
  [[nodiscard]] bool mounted() const { return mounted_; }
  void change(unsigned long flags, const char* size) {
    REQUIRE(mount("tmpfs", where_.c_str(), "tmpfs", MS_REMOUNT | flags, size) == 0);
  }

private:
  fs::path where_;
  bool mounted_ = false;
};

void let_everybody_in(const fs::path& directory) {
  using fs::perms;
  fs::permissions(directory, perms::owner_all | perms::group_all | perms::others_all);
}

} // namespace

TEST_CASE("a torn data directory is refused in clear words, and not touched") {
  const scratch_directory scratch;
  make_killed(scratch.path() / "killed");
  for (const auto& one : all_damage()) {
    INFO(one.name);
    const auto data = scratch.path() / "data";
    fs::remove_all(data);
    fs::copy(scratch.path() / "killed", data);
    one.inflict(data);
    const auto before = everything_in(data);
    const auto why = refusal(data);
    CAPTURE(why.text());
    CHECK(why.code == one.expected);
    CHECK(why.text().find(one.words) != std::string::npos);
    CHECK(why.text().find("data") != std::string::npos);
    CHECK(everything_in(data) == before);
  }
}

TEST_CASE("a killed process's directory opens without the index of its log, and with a note that a crash has spoilt") {
  const scratch_directory scratch;
  const auto data = scratch.path() / "data";
  make_killed(data);
  bool noted = true;
  SECTION("as it is") {}
  SECTION("without the index") { fs::remove(data / "journal.sqlite-shm"); }
  SECTION("with a spoilt index") { std::ofstream(data / "journal.sqlite-shm") << std::string(32768, 'x'); }
  SECTION("without the note") { noted = !fs::remove(data / "high-water"); }
  SECTION("with an empty note") {
    fs::resize_file(data / "high-water", 0);
    noted = false;
  }
  SECTION("with a note of zeros") {
    std::ofstream(data / "high-water") << std::string(50, '\0');
    noted = false;
  }
  SECTION("with a note that is cut") {
    cut(data / "high-water", 0.9);
    noted = false;
  }
  std::vector<std::string> told;
  sqlite_options options;
  options.tell = [&](const std::string& news) { told.push_back(news); };
  opened shard(must(open_sqlite(data, options)), specs(1));
  REQUIRE(told.size() == (noted ? 0 : 1));
  if (!noted) CHECK(told[0].find("high-water says nothing of pipeline orders") != std::string::npos);
  CHECK(shard.state.last == position{messages});
  CHECK(must(shard.commit({submit("m7", {1}, std::string(1000, 'x'))})).receipts[0] ==
        receipt{"m7", true, position{8}});

  // From here on the note tells again.
  must(shard.commit({submit("later")}));
  fs::copy(data, scratch.path() / "again");
  fs::remove(scratch.path() / "again" / "journal.sqlite-wal");
  CHECK(refusal(scratch.path() / "again").text().find("messages up to 301 were confirmed") != std::string::npos);
}

TEST_CASE("a program that copies the log when a journal is opened is waited for") {
  const scratch_directory scratch;
  opened(must(open_sqlite(scratch.path())), specs(1));
  const auto file = scratch.path() / "journal.sqlite";
  const auto writer = must(connection::open(file, 1U << 20U));
  REQUIRE(writer->single("SELECT count(*) FROM message"));
  checkpointer tested(must(connection::open(file, 1U << 20U)), *writer, {});
  const copying_program other(file.string() + "-shm");
  CHECK(tested.begin_log_anew());
}

TEST_CASE("a note that cannot be written is told of, once for a while, and stops nothing") {
  const scratch_directory scratch;
  fs::create_directories(scratch.path() / "high-water");
  std::vector<std::string> told;
  sqlite_options options;
  options.tell = [&](const std::string& news) { told.push_back(news); };
  opened shard(must(open_sqlite(scratch.path(), options)), specs(1));
  must(shard.commit({submit("a")}));
  must(shard.commit({submit("b")}));
  REQUIRE(told.size() == 1);
  CHECK(told[0].find("high-water: cannot be written: Is a directory") != std::string::npos);
}

TEST_CASE("of several shards each has a note of its own") {
  const scratch_directory scratch;
  const auto data = scratch.path() / "data";
  {
    const auto journal = must(open_sqlite(data));
    for (const auto* const name : {"a", "b", "c"}) {
      const auto shard = must(journal->open({name, 0}, {"{}"}, specs(1)));
      const std::vector<store::shard_commit> batch{{shard.handle, submit_many("m", 0, 20), {}}};
      must(journal->commit(batch, at_ms(1)));
    }
    fs::copy(data, scratch.path() / "killed");
  }
  fs::remove(scratch.path() / "killed" / "journal.sqlite-wal");
  const auto journal = must(open_sqlite(scratch.path() / "killed"));
  for (const auto* const name : {"a", "b", "c"}) {
    const auto shard = journal->open({name, 0}, {"{}"}, specs(1));
    REQUIRE_FALSE(shard.has_value());
    CHECK(shard.error().text().find("messages up to 20 were confirmed") != std::string::npos);
  }
}

TEST_CASE("a database that a process left short while it copied its log is whole with the log") {
  const scratch_directory scratch;
  const auto data = scratch.path() / "data";
  std::uintmax_t before = 0;
  {
    opened shard(must(open_sqlite(data)), specs(1));
    before = fs::file_size(data / "journal.sqlite");
    must(shard.commit(submit_many("m", 0, messages, {1}, std::string(1000, 'x'))));
    copy_log_into_database(data, SQLITE_CHECKPOINT_PASSIVE);
    fs::copy(data, scratch.path() / "killed");
  }
  fs::resize_file(scratch.path() / "killed" / "journal.sqlite", before + 1000);
  opened shard(must(open_sqlite(scratch.path() / "killed")), specs(1));
  CHECK(shard.read(1, 1).size() == messages);
}

TEST_CASE("whoever accepts the loss goes on past everything that was confirmed") {
  const scratch_directory scratch;
  const auto data = scratch.path() / "data";
  make_killed(data);
  fs::remove(data / "journal.sqlite-wal");
  CHECK(refusal(data).text().find("store.accept_loss=true") != std::string::npos);
  sqlite_options accepting;
  accepting.accept_loss = true;
  {
    opened shard(must(open_sqlite(data, accepting)), specs(1));
    CHECK(shard.state.last == position{messages});
    CHECK(shard.state.destinations[0].last == sequence{messages});
    REQUIRE(shard.state.destinations[0].lost.size() == 1);
    CHECK(shard.state.destinations[0].lost[0].range.first == sequence{messages / 2 + 1});
    CHECK(shard.state.destinations[0].lost[0].range.last == sequence{messages});
    const auto next = must(shard.commit({submit("next", {1})}));
    CHECK(next.accepted[0].at == position{messages + 1});
    CHECK(next.accepted[0].enrolled[0].seq == sequence{messages + 1});
  }
  opened shard(must(open_sqlite(data)), specs(1)); // nothing is wrong any more
  CHECK(shard.state.last == position{messages + 1});
}

TEST_CASE("whoever accepts the loss of the whole journal begins anew past everything that was confirmed") {
  const scratch_directory scratch;
  const auto data = scratch.path() / "data";
  make_killed(data);
  fs::remove(data / "journal.sqlite");
  SECTION("the log is left") {}
  SECTION("nothing is left but the note") { fs::remove(data / "journal.sqlite-wal"); }
  CHECK(refusal(data).text().find("store.accept_loss=true") != std::string::npos);
  sqlite_options accepting;
  accepting.accept_loss = true;
  {
    opened shard(must(open_sqlite(data, accepting)), specs(1));
    CHECK(shard.state.last == position{messages});
    REQUIRE(shard.state.destinations[0].lost.size() == 1);
    CHECK(shard.state.destinations[0].lost[0].range.last == sequence{messages});
    const auto next = must(shard.commit({submit("next", {1})}));
    CHECK(next.accepted[0].at == position{messages + 1});
    CHECK(next.accepted[0].enrolled[0].seq == sequence{messages + 1});
  }
  CHECK(refusal(data).text().empty());
}

TEST_CASE("whoever accepts a loss where there is none loses nothing") {
  const scratch_directory scratch;
  const auto data = scratch.path() / "data";
  make_killed(data);
  sqlite_options accepting;
  accepting.accept_loss = true;
  opened shard(must(open_sqlite(data, accepting)), specs(1));
  CHECK(shard.state.last == position{messages});
  CHECK(shard.state.destinations[0].lost.empty());
}

TEST_CASE("a copy that lags behind the note is refused after each kind of shutdown") {
  const scratch_directory scratch;
  const auto data = scratch.path() / "data";
  {
    opened shard(must(open_sqlite(data)), specs(1));
    must(shard.commit(submit_many("m", 0, 10)));
  }
  fs::copy(data / "journal.sqlite", scratch.path() / "older");
  { opened shard(must(open_sqlite(data)), specs(1)); }
  SECTION("an owner more") {}
  SECTION("messages more") {
    opened shard(must(open_sqlite(data)), specs(1));
    must(shard.commit(submit_many("n", 0, 10)));
  }
  fs::copy(scratch.path() / "older", data / "journal.sqlite", fs::copy_options::overwrite_existing);
  CHECK(refusal(data).code == errc::diverged);
  sqlite_options accepting;
  accepting.accept_loss = true;
  { opened shard(must(open_sqlite(data, accepting)), specs(1)); }
  CHECK(refusal(data).text().empty());
}

TEST_CASE("a data directory that may not be written is refused in clear words, and not touched") {
  const scratch_directory scratch;
  const auto data = scratch.path() / "data";
  make_killed(data);
  let_everybody_in(scratch.path());
  for (const auto& entry : fs::directory_iterator(data)) let_everybody_in(entry.path());
  let_everybody_in(data);
  auto closed = data;
  SECTION("the directory") { closed = data; }
  SECTION("the database") { closed = data / "journal.sqlite"; }
  SECTION("its log") { closed = data / "journal.sqlite-wal"; }
  SECTION("its log's index") { closed = data / "journal.sqlite-shm"; }
  SECTION("the lock") { closed = data / "lock"; }
  fs::permissions(closed, fs::perms::owner_read | fs::perms::others_read | fs::perms::others_exec);
  const auto before = everything_in(data);
  const auto said = as_nobody([&] {
    const auto why = refusal(data);
    const bool names_it = why.text().find(closed.string()) != std::string::npos;
    const bool says_what = why.text().find("node.data_dir") != std::string::npos;
    return why.code == errc::unavailable && names_it && says_what ? 0 : 1;
  });
  let_everybody_in(closed);
  CHECK(said == 0);
  CHECK(everything_in(data) == before);
}

TEST_CASE("a data directory on a file system that is mounted read-only is refused in clear words") {
  const scratch_directory scratch;
  const auto data = scratch.path() / "data";
  small_disk disk(data);
  if (!disk.mounted()) return;
  {
    opened shard(must(open_sqlite(data)), specs(1));
    must(shard.commit({submit("m")}));
  }
  disk.change(MS_RDONLY, "size=2m");
  const auto why = refusal(data);
  CHECK(why.code == errc::unavailable);
  CHECK(why.text().find("Read-only file system") != std::string::npos);
  CHECK(why.text().find(data.string()) != std::string::npos);
}

TEST_CASE("on a full disk commits are refused, and go on once there is room; a start needs room for the log") {
  const scratch_directory scratch;
  const auto data = scratch.path() / "data";
  small_disk disk(data);
  if (!disk.mounted()) return;
  std::uint64_t accepted = 0;
  {
    sqlite_options options;
    options.wal.checkpoint_bytes = 64U << 20U; // all of it is in the log when it closes
    opened shard(must(open_sqlite(data, options)), specs(1));
    std::ofstream(data / "others") << std::string(700'000, 'x');
    for (int round = 0; round < 50; ++round) {
      const auto done = shard.commit(submit_many("m", accepted, 20, {1}, std::string(1000, 'x')));
      if (!done) CHECK(done.error().code == errc::no_space);
      if (!done) break;
      accepted += 20;
    }
    REQUIRE(accepted < 1000);
    fs::remove(data / "others");
    CHECK(shard.commit(submit_many("m", accepted, 20, {1}, std::string(1000, 'x'))).has_value());
    CHECK(shard.read(1, 1).size() == accepted + 20);
  }
  const auto why = refusal(data);
  CHECK(why.code == errc::no_space);
  CHECK(why.text().find(data.string()) != std::string::npos);
  CHECK(why.text().find("make room there: nothing that was accepted is lost") != std::string::npos);
  disk.change(0, "size=8m");
  opened again(must(open_sqlite(data)), specs(1));
  CHECK(again.state.last.value() == accepted + 20);
}

} // namespace reseq::test

#include "catch.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "actors/sinks.hpp"
#include "fakes.hpp"
#include "virtual_system.hpp"

using namespace reseq;
using namespace reseq::actors;
using namespace reseq::test;
namespace fs = std::filesystem;

namespace {

using numbers = std::vector<std::uint64_t>;

/// A file sink and the file it writes, in a folder that goes with the test.
struct file_fixture {
  file_fixture() {
    std::string pattern = (fs::temp_directory_path() / "reseq-sink-XXXXXX").string();
    folder = mkdtemp(pattern.data());
    file = folder / "out" / "lines.ndjson";
    fs::create_directory(file.parent_path());
  }
  ~file_fixture() { fs::remove_all(folder); }
  file_fixture(const file_fixture&) = delete;
  file_fixture& operator=(const file_fixture&) = delete;

  /// A process that starts: `assigned` is what its journal had given the destination by then.
  void start(std::uint64_t assigned = 1000) {
    if (sink) system.kill(sink);
    sink_setup setup;
    setup.pipeline = "orders";
    setup.destination.name = "archive";
    setup.destination.max_unsaved = 16;
    setup.destination.window = window;
    setup.owner = epoch{3};
    setup.assigned = sequence{assigned};
    sink = system.spawn(file_sink, setup, file.string());
  }

  /// The answer to one request that carries these sequences; `journal` tells two journals' messages apart.
  core::receiver_answer deliver_all(const numbers& sequences, const std::string& journal = "m") {
    actors::deliver wanted;
    wanted.request.destination = destination_id{2};
    wanted.request.id = ++last_request;
    for (const auto n : sequences) {
      core::send_item item;
      item.seq = sequence{n};
      item.previous = sequence{n - 1};
      item.at = position{n + 100};
      item.message = make_message(journal + std::to_string(n));
      item.body = std::make_shared<const content>(
        content{payload.empty() ? "body " + std::to_string(n) : payload, payload_type, {}});
      wanted.request.items.push_back(std::move(item));
    }
    const auto before = mail->delivered.size();
    system.send_as(owner, sink, std::move(wanted));
    REQUIRE(mail->delivered.size() == before + 1);
    CHECK(mail->delivered.back().destination == destination_id{2});
    CHECK(mail->delivered.back().request == last_request);
    return mail->delivered.back().answer;
  }

  bool confirmed(const numbers& sequences, const std::string& journal = "m") {
    return std::holds_alternative<core::confirmed>(deliver_all(sequences, journal));
  }

  /// Why the request failed; "" when it did not.
  std::string trouble(const numbers& sequences, const std::string& journal = "m") {
    const auto answer = deliver_all(sequences, journal);
    const auto* failing = std::get_if<core::failing>(&answer);
    return failing ? failing->why : std::string{};
  }

  [[nodiscard]] std::string text() const {
    std::ostringstream all;
    all << std::ifstream{file, std::ios::binary}.rdbuf();
    return all.str();
  }

  [[nodiscard]] std::vector<nlohmann::json> lines() const {
    std::vector<nlohmann::json> all;
    std::istringstream in{text()};
    for (std::string line; std::getline(in, line);) all.push_back(nlohmann::json::parse(line));
    return all;
  }

  [[nodiscard]] numbers sequences() const {
    numbers all;
    for (const auto& line : lines()) all.push_back(line["sequence"].get<std::uint64_t>());
    return all;
  }

  void write_file(const std::string& text) const { std::ofstream{file, std::ios::binary} << text; }

  std::uint32_t window = 4;
  std::string payload; ///< empty: "body N"
  std::string payload_type = "text/plain";
  fs::path folder;
  fs::path file;
  virtual_system system;
  std::shared_ptr<shard_mail> mail = std::make_shared<shard_mail>();
  shard_actor owner = system.spawn(fake_shard, mail);
  sink_actor sink;
  core::request_id last_request;
};

/// As long as it lives, no file can grow beyond `bytes`: a full disk, as far as a writer can tell.
class small_disk {
public:
  explicit small_disk(std::size_t bytes) {
    old_handler_ = std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old_);
    auto now = old_;
    now.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~small_disk() {
    setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, old_handler_);
  }
  small_disk(const small_disk&) = delete;
  small_disk& operator=(const small_disk&) = delete;

private:
  struct rlimit old_ {};
  void (*old_handler_)(int) = nullptr;
};

} // namespace

TEST_CASE("a delivery is confirmed once its lines are in the file") {
  file_fixture f;
  f.start();
  CHECK(f.confirmed({1, 2}));
  CHECK(f.confirmed({3}));
  const auto lines = f.lines();
  REQUIRE(lines.size() == 3);
  CHECK(lines[1]["delivery_id"] == "orders/archive/2");
  CHECK(lines[1]["sequence"] == 2);
  CHECK(lines[1]["previous_sequence"] == 1);
  CHECK(lines[1]["position"] == 102);
  CHECK(lines[1]["message_id"] == "m2");
  CHECK(lines[1]["epoch"] == 3);
  CHECK(lines[1]["payload"] == "body 2");
}

TEST_CASE("after a restart the file holds each sequence once, however little of it was saved") {
  file_fixture f;
  f.start(0);
  REQUIRE(f.confirmed({1, 2, 3}));
  f.start(10);
  CHECK(f.confirmed({2, 3, 4}));
  CHECK(f.confirmed({5}));
  f.start(10);
  CHECK(f.confirmed({5}));
  CHECK(f.confirmed({6}));
  CHECK(f.sequences() == numbers{1, 2, 3, 4, 5, 6});
}

TEST_CASE("a torn last line is cut off at start, wherever it was torn") {
  file_fixture f;
  f.start();
  REQUIRE(f.confirmed({1}));
  const auto whole = f.text().size();
  REQUIRE(f.confirmed({2}));
  const auto text = f.text();
  const auto length = GENERATE_REF(whole + 1, whole + 40, text.size() - 1);
  f.write_file(text.substr(0, length));
  f.start();
  CHECK(f.confirmed({2, 3}));
  CHECK(f.sequences() == numbers{1, 2, 3});
}

TEST_CASE("a file that holds nothing but the beginning of a line begins anew") {
  file_fixture f;
  f.start();
  REQUIRE(f.confirmed({1}));
  const auto length = GENERATE(std::size_t{1}, std::size_t{7}, std::size_t{60});
  f.write_file(f.text().substr(0, length));
  f.start();
  CHECK(f.confirmed({1, 2}));
  CHECK(f.sequences() == numbers{1, 2});
}

TEST_CASE("a file that lacks lines that were delivered gets nothing more, unless it was moved away") {
  file_fixture f;
  f.start();
  REQUIRE(f.confirmed({1, 2}));
  const auto older = f.text();
  REQUIRE(f.confirmed({3, 4}));
  SECTION("it is another copy after a restart") {
    f.write_file(older);
    f.start();
  }
  SECTION("it was cut while it was in use") { fs::resize_file(f.file, older.size()); }
  CHECK(f.trouble({5}).find("ends with sequence 2, and sequence 4 was delivered") != std::string::npos);
  CHECK(f.text() == older);
  f.write_file("");
  CHECK(f.confirmed({5}));
  CHECK(f.confirmed({6}));
  CHECK(f.sequences() == numbers{5, 6});
}

TEST_CASE("last lines longer than what is read at once are found whole, or cut off") {
  file_fixture f;
  const auto envelope = [](std::uint64_t n) {
    return R"({"delivery_id":"orders/archive/)" + std::to_string(n) + R"(","sequence":)" + std::to_string(n) +
           R"(,"message_id":"m)" + std::to_string(n) + R"(","payload":")" + std::string(300'000, 'x') + "\"}\n";
  };
  const auto torn = GENERATE(false, true);
  auto text = envelope(1) + envelope(2);
  if (torn) text.resize(text.size() - 100);
  f.write_file(text);
  f.start();
  CHECK(f.confirmed({1, 2, 3}));
  CHECK(f.sequences() == numbers{1, 2, 3});
}

TEST_CASE("a file of somebody else is refused and left as it is") {
  const auto text = GENERATE(as<std::string>{}, "root:x:0:0\n", "{}\n", "\n",
                             R"({"sequence":"1","message_id":"m1"})"
                             "\n",
                             R"({"sequence":-1,"message_id":"m1"})"
                             "\n",
                             R"({"sequence":1})"
                             "\n",
                             R"({"delivery_id":"orders/archive/1"})"
                             "\nnotes",
                             "one line without an end", "{");
  CAPTURE(text);
  file_fixture f;
  f.write_file(text);
  f.start();
  if (text == "{") { // may be the first byte that we wrote
    CHECK(f.confirmed({1}));
    return;
  }
  CHECK(f.trouble({1}).find("move the file away") != std::string::npos);
  CHECK(f.text() == text);
}

TEST_CASE("a file that another journal has brought further is refused and left as it is") {
  file_fixture f;
  f.start();
  REQUIRE(f.confirmed({1, 2, 3, 4, 5}));
  const auto before = f.text();
  f.start(4); // this journal has given it four sequences
  const auto why = f.trouble({1}, "other");
  CHECK(why.find("sequence 5, message m5") != std::string::npos);
  CHECK(f.text() == before);
  f.start(0);
  CHECK_FALSE(f.trouble({1}, "other").empty());
}

TEST_CASE("lines that progress was not saved for are known, however many there are and where one asks first") {
  file_fixture f;
  f.start();
  numbers sent; // the others were dropped
  for (std::uint64_t n = 1; n <= 400; n += 1 + n % 3) sent.push_back(n);
  SECTION("short lines") {}
  SECTION("lines longer than what is read at once") {
    sent.resize(20);
    f.payload = std::string(100'000, 'x');
  }
  REQUIRE(f.confirmed(sent));
  const auto before = f.text();
  f.start(sent.back());
  for (const auto first : {sent[0], sent[7], sent[sent.size() - 1], sent[3]}) CHECK(f.confirmed({first}));
  CHECK(f.confirmed(sent));
  CHECK_FALSE(f.trouble({sent[5]}, "other").empty());
  CHECK_FALSE(f.trouble({sent[4] + 1}, "m").empty()); // was never sent there
  CHECK(f.text() == before);
}

TEST_CASE("another journal's file is refused by its message ids before a line of it is taken for ours") {
  file_fixture f;
  f.start();
  REQUIRE(f.confirmed({1, 2, 3}));
  const auto before = f.text();
  f.start(3);
  SECTION("with the last line in the request") { CHECK_FALSE(f.trouble({1, 2, 3}, "other").empty()); }
  SECTION("with the last line beyond the request") { CHECK_FALSE(f.trouble({1}, "other").empty()); }
  CHECK(f.text() == before);
}

TEST_CASE("a file that has gone while nobody had it open begins anew") {
  file_fixture f;
  f.start();
  REQUIRE(f.confirmed({1, 2}));
  fs::remove(f.file);
  f.start();
  CHECK(f.confirmed({3}));
  CHECK(f.sequences() == numbers{3});
}

TEST_CASE("a file that is moved away while it is written is begun anew, and what was moved stays whole") {
  file_fixture f;
  f.start();
  REQUIRE(f.confirmed({1, 2}));
  fs::rename(f.file, f.folder / "moved");
  CHECK(f.confirmed({3}));
  CHECK(f.sequences() == numbers{3});
  CHECK(fs::file_size(f.folder / "moved") > fs::file_size(f.file));
}

TEST_CASE("what somebody else has begun to write is cut off before the next line") {
  file_fixture f;
  f.start();
  REQUIRE(f.confirmed({1, 2}));
  std::ofstream(f.file, std::ios::app) << "{\"half";
  CHECK(f.confirmed({3}));
  CHECK(f.sequences() == numbers{1, 2, 3});
}

TEST_CASE("a line of somebody else's fails deliveries, and is named, until it is taken out") {
  file_fixture f;
  f.start();
  REQUIRE(f.confirmed({1, 2}));
  const auto before = f.text();
  std::ofstream(f.file, std::ios::app) << "junk\n";
  CHECK(f.trouble({3}).find("what begins at byte " + std::to_string(before.size()) + " is no envelope of reseq") !=
        std::string::npos);
  CHECK(f.text() == before + "junk\n");
  fs::resize_file(f.file, before.size());
  CHECK(f.confirmed({3}));
  CHECK(f.sequences() == numbers{1, 2, 3});
}

TEST_CASE("a file that is changed while a line is written to it is read anew, and no part of a line passes for all") {
  const auto line = [](std::uint64_t seq, std::size_t bytes) {
    return R"({"delivery_id":"p/d/)" + std::to_string(seq) + R"(","sequence":)" + std::to_string(seq) +
           R"(,"message_id":"m)" + std::to_string(seq) + R"(","payload":")" + std::string(bytes, 'x') + "\"}\n";
  };
  const file_fixture f;
  const auto path = f.file.string();
  file_sink_state state;
  REQUIRE(state.open(path));
  REQUIRE(state.append(line(1, 100)));
  const auto next = line(2, 5000);
  std::string left;
  SECTION("emptied") {
    fs::resize_file(f.file, 0);
    left = next;
  }
  SECTION("added to") {
    std::ofstream(f.file, std::ios::app) << line(9, 10);
    left = line(1, 100) + line(9, 10) + next;
  }
  CHECK_FALSE(state.append(next));
  close(std::exchange(state.file, -1));
  REQUIRE(state.open(path));
  CHECK(f.text() == left);
  CHECK(state.last == sequence{2});
  CHECK(state.whole == static_cast<off_t>(left.size()));
}

TEST_CASE("a missing folder fails deliveries until it is there") {
  file_fixture f;
  fs::remove_all(f.file.parent_path());
  f.start();
  CHECK(f.trouble({1}).find(f.file.string()) != std::string::npos);
  fs::create_directory(f.file.parent_path());
  CHECK(f.confirmed({1}));
  CHECK(f.sequences() == numbers{1});
}

TEST_CASE("a folder in the file's place fails deliveries") {
  file_fixture f;
  fs::create_directory(f.file);
  f.start();
  CHECK(f.trouble({1}).find("cannot be opened") != std::string::npos);
}

TEST_CASE("a file that another process has locked fails deliveries until it is free") {
  file_fixture f;
  const auto other = open(f.file.c_str(), O_RDWR | O_CREAT, 0644);
  REQUIRE(other >= 0);
  REQUIRE(flock(other, LOCK_EX | LOCK_NB) == 0);
  f.start();
  CHECK(f.trouble({1}).find("locked") != std::string::npos);
  CHECK(f.text().empty());
  close(other);
  CHECK(f.confirmed({1}));
  CHECK(f.sequences() == numbers{1});
}

TEST_CASE("a sink that ends lets go of its file") {
  file_fixture f;
  f.start();
  REQUIRE(f.confirmed({1}));
  f.system.kill(f.sink);
  const auto other = open(f.file.c_str(), O_RDWR);
  REQUIRE(other >= 0);
  CHECK(flock(other, LOCK_EX | LOCK_NB) == 0);
  close(other);
}

TEST_CASE("a disk without room fails deliveries, and what was written in part is neither kept nor written twice") {
  file_fixture f;
  f.start();
  REQUIRE(f.confirmed({1}));
  const auto room = f.text().size();
  {
    const auto line = f.text().size();
    const small_disk full{room + line + 20}; // one more line, and a piece of the next
    CHECK_FALSE(f.trouble({2, 3}).empty());
    CHECK_FALSE(f.trouble({2, 3}).empty());
  }
  CHECK(f.confirmed({2, 3}));
  CHECK(f.confirmed({4}));
  CHECK(f.sequences() == numbers{1, 2, 3, 4});
}

TEST_CASE("a restart goes on where dropped messages spread the unsaved ones over the window") {
  file_fixture f;
  f.window = 64;
  f.start();
  numbers sent; // the others were dropped, which is saved before anything after them is sent
  for (std::uint64_t n = 1; n <= 31; n += 2) sent.push_back(n);
  REQUIRE(f.confirmed(sent));
  f.start();
  CHECK(f.trouble({1}).empty());
  CHECK(f.confirmed({3, 5}));
  CHECK(f.sequences() == sent);
}

TEST_CASE("a restart goes on after a payload that not every reader of JSON takes") {
  const auto deep = std::string(64, '[') + std::string(64, ']');
  const auto payload = GENERATE_COPY(values<std::string>({R"({"a":1e999})", deep}));
  CAPTURE(payload);
  file_fixture f;
  f.payload = payload;
  f.payload_type = "application/json";
  f.start();
  REQUIRE(f.confirmed({1}));
  REQUIRE(f.text().find(payload) != std::string::npos);
  const auto before = f.text();
  f.start();
  CHECK(f.trouble({1}).empty());
  CHECK(f.text() == before);
  CHECK(f.confirmed({2}));
}

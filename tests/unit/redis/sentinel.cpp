// A master, its replica and a sentinel: the client finds the master, and follows when another server becomes it.

#include <array>
#include <chrono>
#include <csignal>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "catch.hpp"
#include "redis_server.hpp"
#include "resequencer_fixture.hpp"

namespace reseq::test {

namespace {

using namespace std::chrono_literals;
using store::redis::command;
using store::redis::connection;
using store::redis::reply;

/// Asks, and again until the answer is what is waited for; on another connection when a change of roles cut it.
class observer {
public:
  explicit observer(std::uint16_t port)
    : where_(must(store::redis::parse_server_url("redis://127.0.0.1:" + std::to_string(port)))) {}

  reply ask(const command& what) {
    for (;;) {
      if (!to_) to_.emplace(must(connection::open(where_, 30s)));
      auto answers = to_->exchange(std::array{what}, 30s);
      if (answers) return std::move(answers->front());
      to_.reset();
    }
  }
  void wait_for(const command& what, const std::string& part) {
    while (ask(what).text().find(part) == std::string_view::npos) {
    }
  }

private:
  store::redis::server_url where_;
  std::optional<connection> to_;
};

/// A sentinel that has not heard what became of its master, and is not told either.
class stale_sentinel {
public:
  explicit stale_sentinel(std::uint16_t master) {
    const auto file = directory_.path() / "sentinel.conf";
    std::ofstream(file) << "port " << port_ << "\nbind 127.0.0.1\ndir " << directory_.path().string()
                        << "\nsentinel monitor main 127.0.0.1 " << master << " 2\n";
    process_.emplace(std::vector<std::string>{file.string(), "--sentinel"});
    observer(port_).wait_for(command("INFO").add("sentinel"), "sentinel_masters:1");
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }

private:
  scratch_directory directory_;
  std::uint16_t port_ = free_port();
  std::optional<redis_process> process_;
};

class watched_pair {
public:
  explicit watched_pair(const std::string& password = "") : password_(password) {
    master_.emplace(server(ports_[0]));
    replica_.emplace(server(ports_[1], {"--replicaof", "127.0.0.1", std::to_string(ports_[0])}));
    observer(ports_[1]).wait_for(command("INFO").add("replication"), "master_link_status:up");
    const auto file = directory_.path() / "sentinel.conf";
    std::ofstream(file) << "port " << ports_[2] << "\nbind 127.0.0.1\ndir " << directory_.path().string()
                        << "\nsentinel monitor main 127.0.0.1 " << ports_[0] << " 1\n"
                        << "sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 2000\n"
                        << (password.empty() ? "" : "requirepass " + password + "\n");
    sentinel_.emplace(std::vector<std::string>{file.string(), "--sentinel"});
    // Promoting it needs the sentinel to have heard of it.
    while (password.empty() && observer(ports_[2]).ask(command("SENTINEL").add("replicas").add("main")).size() == 0) {
    }
  }

  [[nodiscard]] store::redis::server_url url() const { return url(password_); }
  [[nodiscard]] store::redis::server_url url(const std::string& password) const {
    const auto nobody = std::to_string(free_port());
    return must(store::redis::parse_server_url("redis-sentinel://127.0.0.1:" + nobody +
                                               ",127.0.0.1:" + std::to_string(ports_[2]) + "/main" +
                                               (password.empty() ? "" : "?sentinel=" + password)));
  }

  void kill_master() { master_.reset(); }
  void wait_for_promotion() { observer(ports_[1]).wait_for(command("INFO").add("replication"), "role:master"); }

private:
  std::vector<std::string> server(std::uint16_t port, std::vector<std::string> more = {}) {
    std::vector<std::string> out{
      "--port", std::to_string(port),         "--bind", "127.0.0.1", "--dir", directory_.path().string(), "--save",
      "",       "--repl-diskless-sync-delay", "0"};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }

  std::string password_;
  scratch_directory directory_;
  std::array<std::uint16_t, 3> ports_{free_port(), free_port(), free_port()};
  std::optional<redis_process> master_;
  std::optional<redis_process> replica_;
  std::optional<redis_process> sentinel_;
};

} // namespace

TEST_CASE("the master is found by its sentinels, and followed when it is another one") {
  watched_pair pair;
  auto options = patient();
  options.timeout = 5s;
  lane_owner owner(access(pair.url(), options), 1);
  owner.must_apply(step(1, 1, 1, range(1, 5), {2}));
  pair.kill_master();
  core::lane_updates updates;
  updates.lanes = {step(1, 1, 2, {}, {1})};
  CHECK(owner->apply(updates).error().code == errc::unavailable);
  pair.wait_for_promotion();
  // The sentinel may name the old one for a moment yet.
  auto answers = owner->apply(updates);
  while (!answers && answers.error().code == errc::unavailable) answers = owner->apply(updates);
  const auto lane = must(answers).lanes.front();
  CHECK((!lane.agrees || numbers(lane.released) == range(1, 2))); // the replica may lack the last writes
  CHECK(owner.must_apply(step(1, 2, 1, range(3, 5), {3})).pending == 2);
}

TEST_CASE("a sentinel that names a server that is away, or is no master, leaves it to the next one") {
  const watched_pair pair;
  scratch_directory directory;
  const auto nobody = free_port();
  const auto replica_port = free_port();
  std::optional<redis_process> lost_replica;
  const bool is_there = GENERATE(false, true);
  if (is_there)
    lost_replica.emplace(std::vector<std::string>{"--port", std::to_string(replica_port), "--bind", "127.0.0.1",
                                                  "--dir", directory.path().string(), "--save", "", "--replicaof",
                                                  "127.0.0.1", std::to_string(nobody)});
  const stale_sentinel stale(is_there ? replica_port : nobody);
  auto where = pair.url();
  where.hosts.insert(where.hosts.begin(), store::redis::server_address{"127.0.0.1", stale.port()});
  store::redis::client one(where, patient());
  CHECK(one.run(std::array{command("SET").add("a").add("b")}).has_value());

  where.hosts.resize(2); // the second is away
  store::redis::client two(where, patient());
  const auto refused = two.run(std::array{command("PING")});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == errc::unavailable);
  const auto text = refused.error().text();
  CHECK(text.find("127.0.0.1:" + std::to_string(is_there ? replica_port : nobody)) != std::string::npos);
  CHECK(text.find("named by sentinel 127.0.0.1:" + std::to_string(stale.port())) != std::string::npos);
  CHECK((text.find("is no master") != std::string::npos) == is_there);
}

TEST_CASE("sentinels that ask for a password get their own") {
  const watched_pair pair("sesame");
  store::redis::client one(pair.url(), patient());
  must(one.run(std::array{command("PING")}));
  for (const auto* wrong : {"", "hunter2"}) {
    store::redis::client two(pair.url(wrong), patient());
    const auto refused = two.run(std::array{command("PING")});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().text().find("sentinel 127.0.0.1:") != std::string::npos);
    CHECK(refused.error().text().find("hunter") == std::string::npos);
  }
}

TEST_CASE("a master that nobody knows, and sentinels that are away, are named in the error") {
  watched_pair pair;
  auto where = pair.url();
  where.master = "other";
  store::redis::client one(where, patient());
  const auto answer = one.run(std::array{command("PING")});
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == errc::unavailable);
  CHECK(answer.error().text().find("\"other\"") != std::string::npos);
  where.hosts.resize(1);
  store::redis::client two(where, patient());
  const auto away = two.run(std::array{command("PING")});
  REQUIRE_FALSE(away);
  CHECK(away.error().text().find("sentinel 127.0.0.1:" + std::to_string(where.hosts[0].port)) != std::string::npos);
}

} // namespace reseq::test

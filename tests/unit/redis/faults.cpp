// What a Redis can do to its clients: forget, evict, go back in time, answer late, break off. Every loss is noticed by
// the next step of what was lost, and another version mends it.

#include <array>
#include <csignal>
#include <functional>
#include <string>
#include <vector>

#include "catch.hpp"
#include "redis_server.hpp"
#include "reseq/core/lane_store.hpp"
#include "resequencer_fixture.hpp"

namespace reseq::test {

namespace {

using store::redis::command;

constexpr auto shard_key = "reseq:{orders:0}:shard";
constexpr auto results_key = "reseq:{orders:0}:results";
constexpr auto pending_key = "reseq:{orders:0}:lane:d1:pending";
constexpr auto ready_key = "reseq:{orders:0}:lane:d1:ready";

/// An owner of two lanes that knows what it must be answered.
class knowing_owner {
public:
  explicit knowing_owner(redis_server& at) : knowing_owner(at, patient()) {}
  knowing_owner(redis_server& at, const store::redis::client_options& options) : access_(access(at.url(), options)) {
    must(access_->open(epoch{1}, lanes(2)));
    must(model_.open(epoch{1}, lanes(2)));
  }

  /// The lane is at 2, 4 ready behind 1, and has two results.
  void fill() {
    core::lane_updates updates;
    updates.lanes = {step(1, 1, 1, range(1, 6), {2, 4})};
    updates.results = {stored(key(2), "m2"), stored(key(4), "m4")};
    REQUIRE(as_expected(updates));
  }

  /// Whether Redis does what must be done.
  bool as_expected(const core::lane_updates& updates) {
    const auto expected = must(model_.apply(epoch{1}, updates));
    return must(access_->apply(updates)) == expected;
  }
  bool as_expected(const core::lane_update& update) {
    core::lane_updates updates;
    updates.lanes = {update};
    return as_expected(updates);
  }

  /// What an owner does with whatever it finds: the window anew, and the results.
  bool mends(std::uint64_t version) {
    core::lane_updates updates;
    updates.lanes = {step(1, version, 1, range(2, 6), {4}), step(2, version, 1, {1})};
    updates.forget_results = true;
    updates.results = {stored(key(4), "m4")};
    return as_expected(updates) && as_expected(step(1, version, 2, {7}, {2, 3}));
  }

  store::resequencer& operator*() { return *access_; }
  store::resequencer* operator->() { return access_.get(); }

private:
  std::unique_ptr<store::resequencer> access_;
  core::lane_store model_;
};

/// Everything under the shard's hash tag.
std::int64_t keys_left(redis_server& server) {
  return static_cast<std::int64_t>(server.ask(command("KEYS").add("reseq:{orders:0}:*")).size());
}

} // namespace

TEST_CASE("whichever key of a shard is lost, the next step shows it, and another version mends it") {
  redis_server server;
  knowing_owner owner(server);
  owner.fill();
  const std::string lost = GENERATE(shard_key, results_key, pending_key, ready_key);
  CAPTURE(lost);
  REQUIRE(server.ask_number(command("DEL").add(lost)) == 1);
  CHECK_FALSE(owner.as_expected(step(1, 1, 2, {7})));
  CHECK(owner.mends(2));
}

TEST_CASE("whichever member or result is lost, the next step shows it") {
  redis_server server;
  knowing_owner owner(server);
  owner.fill();
  const std::vector<command> losses{command("ZREM").add(pending_key).add("5"), command("ZREM").add(ready_key).add("4"),
                                    command("ZREM").add(ready_key).add("2"),
                                    command("HDEL").add(results_key).add("4.0")};
  const auto& lose = losses[GENERATE(0U, 1U, 2U, 3U)];
  REQUIRE(server.ask_number(lose) == 1);
  CHECK_FALSE(owner.as_expected(step(1, 1, 2, {}, {1})));
  CHECK(owner.mends(2));
}

TEST_CASE("without a loss nothing is shown") {
  redis_server server;
  knowing_owner owner(server);
  owner.fill();
  CHECK(owner.as_expected(step(1, 1, 2, {7}, {1})));
  CHECK(owner.mends(2));
}

TEST_CASE("FLUSHALL is noticed and mended") {
  redis_server server;
  knowing_owner owner(server);
  owner.fill();
  server.ask(command("FLUSHALL"));
  CHECK_FALSE(owner.as_expected(step(1, 1, 2, {}, {1})));
  CHECK(owner.mends(2));
}

TEST_CASE("a Redis that was killed and comes back empty fails the call, then is noticed and mended") {
  redis_server server;
  knowing_owner owner(server);
  owner.fill();
  server.restart();
  core::lane_updates updates;
  updates.lanes = {step(1, 1, 2, {}, {1})};
  CHECK(owner->apply(updates).error().code == errc::unavailable);
  CHECK_FALSE(owner.as_expected(updates));
  CHECK(owner.mends(2));
}

TEST_CASE("a Redis that was killed is away until it is back, and nobody waits for it meanwhile") {
  redis_server server;
  knowing_owner owner(server);
  owner.fill();
  server.send(SIGKILL);
  core::lane_updates updates;
  updates.lanes = {step(1, 1, 2, {}, {1})};
  for (int calls = 0; calls < 10; ++calls) CHECK(owner->apply(updates).error().code == errc::unavailable);
  server.restart();
  CHECK_FALSE(owner.as_expected(updates));
  CHECK(owner.mends(2));
}

TEST_CASE("a Redis that comes back with an older time's data is noticed, in each lane that went on since") {
  redis_server server;
  knowing_owner owner(server);
  owner.fill();
  server.ask(command("SAVE"));
  const auto since = GENERATE(1, 2);
  if (since == 1) {
    REQUIRE(owner.as_expected(step(1, 1, 2, {}, {1}))); // releases 1 and 2
  } else {
    REQUIRE(owner.as_expected(step(1, 2, 1, range(1, 6), {2, 4})));
    REQUIRE(owner.as_expected(step(1, 2, 2, {}, {})));
  }
  server.restart();
  REQUIRE(keys_left(server) == 4);
  core::lane_updates updates;
  updates.lanes = {since == 1 ? step(1, 1, 3, {}, {3}) : step(1, 2, 3, {}, {1})};
  CHECK(owner->apply(updates).error().code == errc::unavailable);
  CHECK_FALSE(owner.as_expected(updates));
  CHECK(owner.mends(3));
}

TEST_CASE("results of other transforms, or of another journal, are not loaded") {
  redis_server server;
  lane_owner owner(access(server.url(), patient(), {"orders", 0}, "1f2e"), 1);
  core::lane_updates updates;
  updates.results = {stored(key(17), "m17")};
  must(owner->apply(updates));
  CHECK(must(owner->load(std::vector{key(17)})).size() == 1);
  lane_owner next(access(server.url(), patient(), {"orders", 0}, "3d4c"), 2);
  CHECK(next.found.results == std::vector{key(17)});
  CHECK(must(next->load(std::vector{key(17)})).empty());
}

TEST_CASE("a Redis that comes back with an earlier owner's data obeys the later one, and not the earlier one") {
  redis_server server;
  knowing_owner old(server);
  old.fill();
  server.ask(command("SAVE"));
  lane_owner now(access(server.url()), 2);
  now.must_apply(step(1, 1, 1, {2, 3}, {2}));
  server.restart();
  CHECK(now.apply({step(1, 1, 2, {4})}).error().code == errc::unavailable);
  const auto answers = must(now.apply({step(1, 1, 2, {4})}));
  CHECK_FALSE(answers.lanes.front().agrees);
  core::lane_updates stale;
  stale.lanes = {step(1, 1, 2, {}, {1})};
  CHECK(old->apply(stale).error().code == errc::unavailable);
  CHECK(old->apply(stale).error().code == errc::fenced);
  CHECK(numbers(now.must_apply(step(1, 2, 1, {3, 4}, {3})).released) == sequence_list{3});
}

TEST_CASE("SCRIPT FLUSH is not noticed") {
  redis_server server;
  knowing_owner owner(server);
  owner.fill();
  server.ask(command("SCRIPT").add("FLUSH"));
  CHECK(owner.as_expected(step(1, 1, 2, {7}, {1})));
  server.ask(command("SCRIPT").add("FLUSH"));
  core::lane_updates large; // goes out in several calls
  for (std::uint64_t at = 1; at <= 4; ++at) large.results.push_back(stored(key(at), "m", std::string(1U << 20U, 'x')));
  large.lanes = {step(1, 1, 3, {8}, {3})};
  CHECK(owner.as_expected(large));
}

TEST_CASE("a connection that is cut fails one call, and the next one finds out whether it was done") {
  redis_server server;
  knowing_owner owner(server);
  owner.fill();
  CHECK(server.ask_number(command("CLIENT").add("KILL").add("TYPE").add("normal").add("SKIPME").add("yes")) == 1);
  core::lane_updates updates;
  updates.lanes = {step(1, 1, 2, {7}, {1})};
  CHECK(owner->apply(updates).error().code == errc::unavailable);
  CHECK(owner.as_expected(updates));
  CHECK(owner.as_expected(updates));
}

TEST_CASE("a call that was answered too late has happened, and an older version's is refused") {
  redis_server server;
  auto options = patient();
  options.timeout = std::chrono::milliseconds{300};
  knowing_owner owner(server, options);
  owner.fill();
  server.send(SIGSTOP);
  core::lane_updates updates;
  updates.lanes = {step(1, 1, 2, {}, {1})};
  const auto late = owner->apply(updates);
  server.send(SIGCONT);
  REQUIRE(late.error().code == errc::unavailable);

  SECTION("said again, it is answered as it was done") { CHECK(owner.as_expected(updates)); }
  SECTION("and the lane goes on under another version") {
    // Memory has released 1 and 2 meanwhile.
    REQUIRE(owner.as_expected(step(1, 2, 1, range(3, 6), {4})));
    CHECK_FALSE(must(owner->apply(updates)).lanes.front().agrees);
    CHECK(owner.as_expected(step(1, 2, 2, {}, {3})));
  }
}

TEST_CASE("a call that CLIENT PAUSE held up too long is not taken for a later one's answer") {
  redis_server server;
  auto options = patient();
  options.timeout = std::chrono::milliseconds{300};
  knowing_owner owner(server, options);
  owner.fill();
  server.ask(command("CLIENT").add("PAUSE").add("60000").add("WRITE"));
  core::lane_updates updates;
  updates.lanes = {step(1, 1, 2, {}, {1})};
  CHECK(owner->apply(updates).error().code == errc::unavailable);
  CHECK(must(owner->load(std::vector{key(2)})).size() == 1);
  server.ask(command("CLIENT").add("UNPAUSE"));
  CHECK(owner.as_expected(step(1, 2, 1, range(3, 6), {4})));
}

TEST_CASE("results that maxmemory evicted are missing, and that is noticed") {
  redis_server server({"--maxmemory", "4mb", "--maxmemory-policy", "allkeys-random"});
  knowing_owner owner(server);
  core::lane_updates updates;
  updates.lanes = {step(1, 1, 1, range(1, 100), {2, 3})};
  for (std::uint64_t at = 1; at <= 20; ++at) updates.results.push_back(stored(key(at), "m", std::string(20'000, 'x')));
  REQUIRE(owner.as_expected(updates));
  for (int i = 0; keys_left(server) == 4 && i < 100'000; ++i)
    server.ask(command("SET").add("filler" + std::to_string(i)).add(std::string(50'000, 'y')));
  REQUIRE(keys_left(server) < 4);
  CHECK_FALSE(owner.as_expected(step(1, 1, 2, {101})));
  CHECK(must(owner->load(std::vector{key(1)})).size() <= 1);
}

TEST_CASE("a Redis that is full says so, changes nothing, and goes on when there is room") {
  redis_server server;
  knowing_owner owner(server);
  owner.fill();
  server.ask(command("CONFIG").add("SET").add("maxmemory").add("1"));
  core::lane_updates updates;
  updates.lanes = {step(1, 1, 2, {7}, {1})};
  CHECK(owner->apply(updates).error().code == errc::no_space);
  server.ask(command("CONFIG").add("SET").add("maxmemory").add("0"));
  CHECK(owner.as_expected(updates));
}

TEST_CASE("what somebody else wrote in the shard's place is an error that says so, and no crash") {
  redis_server server;
  knowing_owner owner(server);
  owner.fill();
  core::lane_updates updates;
  updates.lanes = {step(1, 1, 2, {}, {1})};
  SECTION("another type") {
    server.ask(command("SET").add(results_key).add("mine"));
    const auto answer = owner->apply(updates);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code == errc::incompatible);
    CHECK(answer.error().text().find("WRONGTYPE") != std::string::npos);
  }
  SECTION("a mark that is none") {
    server.ask(command("HSET").add(shard_key).add("lane:d1").add("epoch=1 version=1"));
    CHECK_FALSE(must(owner->apply(updates)).lanes.front().agrees);
    CHECK(owner.mends(2));
  }
  SECTION("results that are none") {
    server.ask(command("HSET").add(results_key).add("2.0").add("message \n\n"));
    server.ask(command("HSET").add(results_key).add("4.0").add("message m4\nsurprise\n\nx"));
    server.ask(command("HSET").add(results_key).add("four").add("message m4\n\nx"));
    CHECK(must(owner->load(std::vector{key(2), key(4)})).empty());
    lane_owner next(access(server.url()), 2);
    CHECK(next.found.results == std::vector{key(2), key(4)});
  }
  SECTION("members that are no numbers") {
    server.ask(command("ZADD").add(pending_key).add("0").add("first"));
    server.ask(command("ZADD").add(ready_key).add("0").add("first"));
    CHECK_FALSE(owner->apply(updates).has_value());
    CHECK(owner.mends(2));
  }
}

TEST_CASE("an operator finds the lanes by name") {
  redis_server server;
  knowing_owner owner(server);
  owner.fill();
  REQUIRE(owner.as_expected(step(1, 1, 2, {7}, {1})));
  CHECK(server.ask_text(command("HGET").add(shard_key).add("epoch")) == "1");
  CHECK(server.ask_text(command("HGET").add(shard_key).add("lane:d1")) ==
        "epoch=1 version=1 step=2 reached=7 released=1-2");
  const auto pending = server.ask(command("ZRANGE").add(pending_key).add("0").add("-1"));
  REQUIRE(pending.size() == 5);
  CHECK(pending[0].text() == "3");
  CHECK(server.ask_text(command("ZSCORE").add(ready_key).add("4")) == "4");
  CHECK(server.ask_text(command("HGET").add(results_key).add("2.0")) ==
        "message m2\nmade by ours\ntype text/plain\nheader traceparent: 00-m2\n\nresult");
}

} // namespace reseq::test

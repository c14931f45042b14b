// Recoveries whose connection breaks, and a database that has gone back under a journal that is open.

#include <chrono>
#include <string>
#include <vector>

#include "cut_place.hpp"

namespace reseq::test {

namespace {

/// A journal in which `orders`, which is to be recovered, and `invoices` are open.
struct pair_of_shards {
  explicit pair_of_shards(place& at) : orders(must(at.open()), specs(1)) {
    must(orders.commit(submit_many("m", 1, 5)));
    invoices = must(orders->open({"invoices", 0}, {"{}"}, specs(1))).handle;
  }

  result<void> recover() { return orders->recover(orders.state.handle, how, at_ms(77)); }

  void must_recover() {
    if (const auto done = recover(); !done) FAIL(done.error().text());
  }

  result<void> recover_when_back() {
    auto again = recover();
    while (!again && again.error().code == errc::unavailable) again = recover();
    return again;
  }

  void commit_other() {
    const std::vector<store::shard_commit> batch{{invoices, {submit("i" + std::to_string(++invoiced))}, {}}};
    auto done = orders->commit(batch, at_ms(1000));
    while (!done && done.error().code == errc::unavailable) done = orders->commit(batch, at_ms(1000));
    must(done);
  }

  opened orders;
  store::shard_handle invoices;
  store::recovery how{epoch{9}, position{8}, {{destination_id{1}, {sequence{6}, sequence{8}}}}, {}, "seen"};
  int invoiced = 0;
};

} // namespace

TEST_CASE("a recovery that the server did before the connection broke is done, and other shards go on") {
  place at;
  pair_of_shards both(at);
  at.proxy.next_commit(cut::after_commit);
  both.must_recover();
  both.commit_other();
  CHECK(at.sql("SELECT FROM reseq.recovery").size() == 1);
  CHECK(code_of(both.orders.commit({submit("late")})) == errc::fenced);
}

TEST_CASE("a recovery that the server never heard of did not happen, and can be done again") {
  place at;
  pair_of_shards both(at);
  at.proxy.next_commit(cut::before_commit);
  const auto cut_off = both.recover();
  REQUIRE_FALSE(cut_off.has_value());
  CHECK(cut_off.error().code == errc::unavailable);
  both.commit_other();
  both.must_recover();
  both.commit_other();
  CHECK(at.sql("SELECT FROM reseq.recovery").size() == 1);
}

TEST_CASE("a recovery in doubt while the server is away keeps nobody out after that, and is done when asked again") {
  place at;
  at.options.doubt_patience = 50ms;
  pair_of_shards both(at);
  const bool happens = GENERATE(true, false);
  at.proxy.refuse(true);
  at.proxy.next_commit(happens ? cut::after_commit : cut::before_commit);
  const auto doubtful = both.recover();
  REQUIRE_FALSE(doubtful.has_value());
  CHECK(doubtful.error().code == errc::unavailable);
  CHECK(at.sql("SELECT FROM reseq.recovery").size() == (happens ? 1 : 0));
  at.proxy.refuse(false);
  if (GENERATE(true, false)) both.commit_other();
  const auto again = both.recover_when_back();
  REQUIRE(again.has_value());
  both.commit_other();
  CHECK(at.sql("SELECT FROM reseq.recovery").size() == 1);
  CHECK(must(both.orders->open({"orders", 0}, {"{}"}, specs(1))).owner == epoch{10});
}

TEST_CASE("a recovery in doubt is not taken for done when somebody else has taken the shard over") {
  place at;
  at.options.doubt_patience = 50ms;
  pair_of_shards both(at);
  at.proxy.refuse(true);
  at.proxy.next_commit(cut::before_commit);
  CHECK(both.recover().error().code == errc::unavailable);
  at.sql("UPDATE reseq.shard SET epoch = 9 WHERE pipeline = 'orders'");
  at.proxy.refuse(false);
  const auto again = both.recover_when_back();
  CHECK(again.error().code == errc::fenced);
}

TEST_CASE("a session that ends after a recovery keeps no other shard from going on") {
  place at;
  at.options.reconnect_patience = 30s;
  pair_of_shards both(at);
  both.must_recover();
  at.sql("SELECT pg_terminate_backend(owner_pid, 10000) FROM reseq.shard WHERE pipeline = 'invoices'");
  both.commit_other();
  CHECK(must(both.orders->open({"orders", 0}, {"{}"}, specs(1))).owner == epoch{10});
}

namespace {

/// Of ten messages the database has only `left`.
void recover_behind_what_was_given(opened& shard, std::uint64_t left) {
  const auto found = must(shard->findings(shard.state.handle));
  CHECK(found.assigned == position{left});
  CHECK(found.seen == position{10});
  const auto how = must(store::plan_recovery(found, "seen"));
  const auto done = shard->recover(shard.state.handle, how, at_ms(77));
  if (!done) FAIL(done.error().text());
  const auto again = must(shard->open({"orders", 0}, {"{}"}, specs(1)));
  CHECK(again.owner > shard.state.owner);
  CHECK(again.last == position{10});
  REQUIRE(again.destinations[0].last == sequence{10});
  REQUIRE(again.destinations[0].lost.size() == 1);
  CHECK(again.destinations[0].lost[0].range == core::sequence_range{sequence{left + 1}, sequence{10}});
}

} // namespace

TEST_CASE("a database that has gone back in time is not written to, and recovered behind what was given") {
  place at;
  opened shard(must(at.open()), specs(1));
  must(shard.commit(submit_many("m", 1, 10)));
  at.sql("DELETE FROM reseq.message WHERE position > 7");
  at.sql("SELECT pg_terminate_backend(owner_pid) FROM reseq.shard");
  auto refused = shard.commit({submit("new")});
  while (!refused && refused.error().code == errc::unavailable) refused = shard.commit({submit("new")});
  CHECK(code_of(refused) == errc::diverged);
  CHECK(refused.error().text().find("position 10 was durable, now the last one is 7") != std::string::npos);
  CHECK(code_of(shard.commit({})) == errc::diverged);
  CHECK(at.sql("SELECT FROM reseq.message").size() == 7);
  CHECK(at.sql("SELECT FROM reseq.shard WHERE epoch = 1").size() == 1);
  recover_behind_what_was_given(shard, 7);
}

TEST_CASE("a shard that has gone back to before it was made is recovered, and keeps no other one from going on") {
  place at;
  pair_of_shards both(at);
  both.commit_other();
  at.sql("DELETE FROM reseq.message WHERE shard = 1; DELETE FROM reseq.destination WHERE shard = 1; DELETE FROM "
         "reseq.enrolment WHERE shard = 1; DELETE FROM reseq.shard WHERE number = 1");
  at.sql("SELECT pg_terminate_backend(owner_pid, 10000) FROM reseq.shard");
  both.commit_other();
  const auto back = both.orders->take_gone_back();
  REQUIRE(back.size() == 1);
  CHECK(back[0].shard == both.orders.state.handle);
  CHECK(both.orders->take_gone_back().empty());
  CHECK(code_of(both.orders.commit({submit("new")})) == errc::diverged);
  both.commit_other();
  const auto how = must(store::plan_recovery(must(both.orders->findings(both.orders.state.handle)), "seen"));
  at.proxy.next_commit(cut::after_commit);
  both.how = how;
  const auto done = both.recover_when_back();
  REQUIRE(done.has_value());
  const auto again = must(both.orders->open({"orders", 0}, {"{}"}, specs(1)));
  CHECK(again.last == position{5});
  CHECK(again.destinations[0].last == sequence{5});
  both.commit_other();
}

TEST_CASE("a database that knows of an earlier owner, or of none, has gone back, and nobody has taken the shard over") {
  place at;
  opened(must(at.open()), specs(1));
  opened shard(must(at.open()), specs(1));
  must(shard.commit(submit_many("m", 1, 10)));
  const auto [change, says] = GENERATE(table<std::string, std::string>(
    {{"UPDATE reseq.shard SET epoch = epoch - 1", "we own the shard under epoch 2, and now the shard's epoch is 1"},
     {"UPDATE reseq.shard SET number = DEFAULT", "the shard's row is gone"}}));
  at.sql("ALTER TABLE reseq.message DROP CONSTRAINT IF EXISTS message_shard_fkey");
  at.sql(change);
  auto refused = shard.commit({submit("new")});
  CHECK(code_of(refused) == errc::diverged);
  CHECK(refused.error().text().find(says) != std::string::npos);
  CHECK(shard->expire(shard.state.handle, at_ms(1), at_ms(10'000), 10).error().code == errc::diverged);
}

} // namespace reseq::test

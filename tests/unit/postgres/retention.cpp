// What retention deletes where a partition lasts for long, and what it costs.

#include <string>
#include <thread>
#include <vector>

#include "journal_fixture.hpp"
#include "postgres_server.hpp"
#include "reseq/store/postgres/postgres_journal.hpp"
#include "reseq/store/postgres/pqxx_versions.hpp"

namespace reseq::test {

namespace {

constexpr std::int64_t day = 86'400'000;

/// A database whose journal can be opened time and again.
struct kept_journal {
  kept_journal() { options.url = postgres_server::shared().create_database(); }

  opened open(std::uint32_t destinations = 1) {
    return opened(must(store::postgres::open_postgres(options)), specs(destinations));
  }

  pqxx::result sql(const std::string& statement) const {
    pqxx::connection db(options.url);
    pqxx::nontransaction tx(db);
    return tx.exec(statement);
  }

  int number(const std::string& query) const { return sql("SELECT " + query)[0][0].as<int>(); }
  int rows() const { return number("count(*) FROM reseq.message"); }

  /// From the indexes of `table`, which lacks as many rows as that at least. Counted some time after a session's end.
  int rows_read(const std::string& table, int deleted) const {
    const auto of_table = " WHERE relname = '" + table + "'";
    for (int tries = 0; number("n_tup_del FROM pg_stat_user_tables" + of_table) < deleted; ++tries) {
      REQUIRE(tries < 1000);
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
    return number("sum(idx_tup_read) FROM pg_stat_user_indexes" + of_table);
  }

  store::postgres::postgres_options options;
};

std::uint64_t expire(opened& shard, std::int64_t before = 5000) {
  return must(shard->expire(shard.state.handle, at_ms(before), at_ms(100 * day), 1000));
}

void expire_all(opened& shard, std::int64_t before = 5000) {
  for (int tries = 0; expire(shard, before) > 0; ++tries) REQUIRE(tries < 1000);
}

} // namespace

TEST_CASE("what is past retention goes from a partition that is long not full, and everything goes on") {
  kept_journal at;
  at.options.partition_messages = 1000;
  {
    auto shard = at.open();
    must(shard.commit(submit_many("m", 1, 100)));
    shard.settle(1, 60);
    expire_all(shard);
    CHECK(at.number("min(position) FROM reseq.message") == 61);
    CHECK(shard.read(1, 61).size() == 40);
    CHECK(shard->read(shard.state.handle, destination_id{1}, sequence{60}, 1, 1).error().code == errc::not_found);
    shard.settle(1, 100);
    expire_all(shard);
    CHECK(at.rows() == 0);
    CHECK(at.number("count(*) FROM reseq.enrolment") == 0);
    CHECK_FALSE(must(shard->find_id(shard.state.handle, "m1")));
    CHECK(must(shard.commit({submit("m1")})).receipts[0] == receipt{"m1", false, position{101}});
    REQUIRE(shard.read(1, 101).size() == 1);
  }
  auto again = at.open();
  CHECK(again.state.last == position{101});
  CHECK(again.state.destinations[0].last == sequence{101});
  CHECK(again.read(1, 101).size() == 1);
  again.settle(1, 101);
  expire_all(again);
  CHECK(at.rows() == 0);
  auto empty = at.open();
  CHECK(empty.state.last == position{101});
  CHECK(empty.state.destinations[0].last == sequence{101});
  CHECK(empty.state.destinations[0].backlog() == 0);
  CHECK(must(empty.commit({submit("m2")})).receipts[0] == receipt{"m2", false, position{102}});
  CHECK(empty.read(1, 102)[0].at == position{102});
}

TEST_CASE("what is past retention goes in slices of so many rows, or so many bytes") {
  kept_journal at;
  auto shard = at.open();
  const bool large = GENERATE(false, true);
  const std::uint64_t count = large ? 20 : 900;
  must(shard.commit(submit_many("m", 1, count, {1}, std::string(large ? 1U << 20U : 1, 'x'))));
  shard.settle(1, count);
  std::vector<int> left;
  for (std::uint64_t gone = 1000; gone == 1000; left.push_back(at.rows())) gone = expire(shard);
  CHECK(left == (large ? std::vector{12, 4, 0} : std::vector{400, 0}));
}

TEST_CASE("a full partition keeps what is past retention as long as it goes whole within a quarter of that") {
  kept_journal at;
  at.options.partition_messages = 16;
  at.options.retention = std::chrono::hours{4 * 24};
  auto shard = at.open();
  must(shard.commit(submit_many("early", 1, 10), {}, at_ms(day)));
  must(shard.commit(submit_many("late", 1, 20), {}, at_ms(3 * day)));
  shard.settle(1, 30);
  SECTION("it does not") {
    expire_all(shard, day + 2);
    CHECK(at.number("min(position) FROM reseq.message") == 11);
  }
  SECTION("it does") {
    expire_all(shard, 2 * day + 2);
    CHECK(at.number("min(position) FROM reseq.message") == 1);
    CHECK_FALSE(must(shard->find(shard.state.handle, position{10})));
    for (int tries = 0; at.number("min(position) FROM reseq.message") == 1; ++tries) { // autovacuum may read it
      REQUIRE(tries < 100);
      expire(shard, 3 * day - 1);
      expire(shard, 3 * day + 1);
    }
    CHECK(at.number("min(first_position) FROM reseq.message_partition") > 16);
  }
}

TEST_CASE("a partition is as large as what fills in a quarter of the retention, and never smaller than the first") {
  kept_journal at;
  at.options.partition_messages = 16;
  at.options.retention = std::chrono::hours{40};
  pqxx::connection db(at.options.url);
  const auto newest = [&] {
    pqxx::nontransaction tx(db);
    return tx
      .exec("SELECT end_position - first_position FROM reseq.message_partition ORDER BY first_position DESC "
            "LIMIT 1")[0][0]
      .as<int>();
  };
  int messages = 0;
  const auto fill = [&](opened& shard) {
    for (const int before = newest(); newest() == before;)
      must(shard.commit({submit("m" + std::to_string(++messages))}));
  };
  {
    auto shard = at.open();
    while (newest() < 256) fill(shard);
  }
  for (const auto& [hours, size] : {std::pair{20, 128}, std::pair{10'000, 16}}) {
    at.sql("UPDATE reseq.message_partition SET created = created - interval '" + std::to_string(hours) + " hours'");
    auto shard = at.open();
    fill(shard);
    CHECK(newest() >= size - 2);
    CHECK(newest() <= size);
  }
}

TEST_CASE("index rows of a slice whose commit was in doubt are written again") {
  kept_journal at;
  auto shard = at.open();
  must(shard.commit(submit_many("m", 1, 100)));
  at.sql("INSERT INTO reseq.enrolment VALUES (1, 1, 1, 80, 80, '')");
  shard.settle(1, 10);
  expire_all(shard);
  CHECK(shard.read(1, 11).size() == 90);
  CHECK(at.number("last_sequence FROM reseq.enrolment") == 100);
}

TEST_CASE("forgetting the ids that no route wanted reads none of another pipeline's, whatever the statistics") {
  kept_journal at;
  {
    auto shard = at.open();
    at.sql("INSERT INTO reseq.unrouted (shard, id, fingerprint, accepted) SELECT 99, 'x' || n, '', now() FROM "
           "generate_series(1, 300000) AS n");
    if (GENERATE(false, true)) at.sql("ANALYZE reseq.unrouted");
    for (int i = 0; i < 10; ++i) must(shard.commit({submit("m" + std::to_string(i), {})}));
    CHECK(expire(shard) == 10);
  }
  CHECK(at.rows_read("unrouted", 10) < 1000);
}

TEST_CASE("deleting enrolment reads none that stays, whatever the statistics") {
  kept_journal at;
  at.options.indexes = {1, 1};
  {
    auto shard = at.open();
    for (int i = 0; i < 10; ++i) must(shard.commit({submit("m" + std::to_string(i))}));
    at.sql("INSERT INTO reseq.enrolment SELECT s, d, n, n, n, '' FROM generate_series(1, 4) AS s, "
           "generate_series(100, 199) AS d, generate_series(1, CASE s WHEN 1 THEN 5000 ELSE 300 END) AS n");
    at.sql("ANALYZE reseq.enrolment");
    shard.settle(1, 10);
    expire_all(shard);
  }
  CHECK(at.rows_read("enrolment", 1000) < 10'000);
}

} // namespace reseq::test

// The schema, its versions, and the tables that messages are in.

#include <fstream>
#include <future>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "journal_fixture.hpp"
#include "postgres_server.hpp"
#include "reseq/store/postgres/postgres_journal.hpp"
#include "reseq/store/postgres/pqxx_versions.hpp"

namespace reseq::test {

namespace {

store::postgres::postgres_options options_for(const std::string& url) {
  store::postgres::postgres_options options;
  options.url = url;
  return options;
}

pqxx::result sql(pqxx::connection& db, const std::string& statement) {
  pqxx::nontransaction tx(db);
  return tx.exec(statement);
}

/// Of conf/sql/stuck.sql.
std::string first_query_of_stuck() {
  std::ifstream file(RESEQ_CONF "/sql/stuck.sql");
  const std::string all(std::istreambuf_iterator<char>(file), {});
  const auto begin = all.find("WITH assigned");
  return all.substr(begin, all.find(';', begin) - begin);
}

int partitions(pqxx::connection& db) {
  return sql(db, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'reseq.message'::regclass")[0][0].as<int>();
}

} // namespace

TEST_CASE("several processes may create the schema at once, and take over shards of their own") {
  const auto url = postgres_server::shared().create_database();
  std::vector<result<store::shard_state>> opened(4, fail(errc::internal, "not opened"));
  std::vector<std::thread> all;
  for (std::size_t i = 0; i < opened.size(); ++i)
    all.emplace_back([&, i] {
      auto journal = store::postgres::open_postgres(options_for(url));
      opened[i] =
        journal ? (*journal)->open({"p" + std::to_string(i), 0}, {"{}"}, specs(2)) : tl::unexpected(journal.error());
    });
  for (auto& one : all) one.join();
  for (const auto& one : opened) {
    INFO((one ? "" : one.error().text()));
    CHECK((one && one->owner == epoch{1}));
  }
  pqxx::connection db(url);
  CHECK(sql(db, "SELECT FROM reseq.migration").size() == 3);
}

TEST_CASE("a schema of a newer version is refused, and so is a database that is not in UTF-8") {
  const auto url = postgres_server::shared().create_database();
  must(store::postgres::open_postgres(options_for(url)));
  pqxx::connection db(url);
  sql(db, "INSERT INTO reseq.migration VALUES (99)");
  const auto newer = store::postgres::open_postgres(options_for(url));
  REQUIRE_FALSE(newer.has_value());
  CHECK(newer.error().code == errc::incompatible);
  CHECK(newer.error().text().find("version 99") != std::string::npos);

  sql(db, "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
  const auto latin = store::postgres::open_postgres(options_for(postgres_server::shared().url("latin")));
  REQUIRE_FALSE(latin.has_value());
  CHECK(latin.error().code == errc::incompatible);
  CHECK(latin.error().text().find("LATIN1") != std::string::npos);
}

TEST_CASE("partitions that are past retention go, unless somebody reads them just then") {
  const auto url = postgres_server::shared().create_database();
  auto options = options_for(url);
  options.partition_messages = 100;
  options.retention = duration{1}; // none fills sooner than a quarter of that
  options.indexes = {1, 1};
  opened shard(must(store::postgres::open_postgres(options)), specs(1));
  for (int i = 0; i < 50; ++i) must(shard.commit(submit_many("m" + std::to_string(i) + "-", 0, 10)));
  pqxx::connection db(url);
  const int before = partitions(db);
  CHECK(before >= 5);
  shard.settle(1, 450);
  {
    pqxx::work reading(db);
    reading.exec("SELECT count(*) FROM reseq.message");
    CHECK(must(shard->expire(shard.state.handle, at_ms(5000), at_ms(10'000), 1000)) == 450);
    CHECK(shard.read(1, 451).size() == 50);
  }
  CHECK(partitions(db) == before);
  for (int tries = 0; partitions(db) > before - 4; ++tries) { // one at a time, and autovacuum may read them
    REQUIRE(tries < 100);
    CHECK(must(shard->expire(shard.state.handle, at_ms(5000), at_ms(10'000), 1000)) == 0);
  }
  CHECK(must(shard->expire(shard.state.handle, at_ms(5000), at_ms(10'000), 1000)) == 0);
  CHECK(partitions(db) == before - 4);
  CHECK(sql(db, "SELECT min(position) FROM reseq.message")[0][0].as<int>() == 401);
  CHECK(sql(db, "SELECT FROM reseq.enrolment WHERE last_position <= 400").empty());
  CHECK(shard.read(1, 451).size() == 50);
  CHECK_FALSE(must(shard->find(shard.state.handle, position{450})));
  CHECK(must(shard.commit({submit("m0-1")})).receipts[0] == receipt{"m0-1", false, position{501}});

  shard.settle(1, 501);
  const auto as_the_file_asks = [&] { return sql(db, first_query_of_stuck())[0]; };
  CHECK(as_the_file_asks()["accepted"].as<int>() == 501);
  CHECK(as_the_file_asks()["behind"].as<int>() == 0);
  must(shard->expire(shard.state.handle, at_ms(5000), at_ms(10'000), 1000));
  sql(db, "DELETE FROM reseq.enrolment; UPDATE reseq.destination SET forgotten_sequence = 501; UPDATE reseq.shard SET "
          "indexed_position = 501");
  CHECK(as_the_file_asks()["behind"].as<int>() == 0);
  sql(db, "INSERT INTO reseq.lost VALUES (1, 1, 502, 600, 1)");
  CHECK(as_the_file_asks()["accepted"].as<int>() == 600);
  CHECK(as_the_file_asks()["behind"].as<int>() == 0); // of what is lost nothing waits
}

TEST_CASE("while the enrolment of what is past retention is deleted, everybody reads and writes") {
  const auto url = postgres_server::shared().create_database();
  auto options = options_for(url);
  options.partition_messages = 100;
  options.indexes = {1, 1};
  opened shard(must(store::postgres::open_postgres(options)), specs(1));
  for (int i = 0; i < 30; ++i) must(shard.commit(submit_many("m" + std::to_string(i) + "-", 0, 10)));
  shard.settle(1, 300);
  pqxx::connection db(url);
  sql(db, "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS $$BEGIN PERFORM "
          "pg_advisory_xact_lock(1); RETURN NULL; END$$;"
          "CREATE TRIGGER slow BEFORE DELETE ON reseq.enrolment FOR EACH STATEMENT EXECUTE FUNCTION slow()");
  sql(db, "SELECT pg_advisory_lock(1)");
  auto expired =
    std::async(std::launch::async, [&] { return shard->expire(shard.state.handle, at_ms(5000), at_ms(10'000), 1000); });
  pqxx::connection other(url);
  sql(other, "SET lock_timeout = '500ms'");
  while (sql(other, "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").empty())
    REQUIRE(expired.wait_for(std::chrono::milliseconds{1}) == std::future_status::timeout);
  CHECK_NOTHROW(sql(other, "SELECT count(*) FROM reseq.message"));
  CHECK_NOTHROW(sql(other, "INSERT INTO reseq.message SELECT 301, 1, now(), shard, 'x', '', '', '', '', '', '' FROM "
                           "reseq.message WHERE position = 300; DELETE FROM reseq.message WHERE position = 301"));
  sql(db, "SELECT pg_advisory_unlock(1)");
  CHECK(must(expired.get()) == 300);
}

TEST_CASE("much enrolment that is past retention goes in slices, and whoever forgets hears that there is more") {
  const auto url = postgres_server::shared().create_database();
  auto options = options_for(url);
  options.partition_messages = 8;
  options.indexes = {1, 1};
  opened shard(must(store::postgres::open_postgres(options)), specs(1));
  for (int i = 0; i < 10; ++i) must(shard.commit({submit("m" + std::to_string(i))}));
  shard.settle(1, 10);
  pqxx::connection db(url);
  sql(db, "INSERT INTO reseq.enrolment SELECT 1, 99, n, n, 0, '' FROM generate_series(1, 5000) AS n");
  const auto left = [&] {
    return sql(db, "SELECT count(*) FROM reseq.enrolment WHERE destination = 99")[0][0].as<int>();
  };
  const int before = partitions(db);
  std::vector<int> seen;
  for (int at_once = 1000; at_once == 1000; seen.push_back(left())) {
    CHECK(partitions(db) == before);
    at_once = static_cast<int>(must(shard->expire(shard.state.handle, at_ms(5000), at_ms(10'000), 1000)));
  }
  CHECK(seen == std::vector{3000, 1000, 0});
  CHECK(partitions(db) < before);
  CHECK(sql(db, "SELECT forgotten_sequence FROM reseq.destination")[0][0].as<int>() >= 8);
}

TEST_CASE("a partition that fills sooner than retention wants is followed by one twice as large") {
  const auto url = postgres_server::shared().create_database();
  auto options = options_for(url);
  options.partition_messages = 16;
  opened shard(must(store::postgres::open_postgres(options)), specs(1));
  for (int i = 0; i < 40; ++i) must(shard.commit(submit_many("m" + std::to_string(i) + "-", 0, 10)));
  pqxx::connection db(url);
  CHECK(partitions(db) <= 8);
  CHECK(shard.read(1, 1).size() == 400);
}

} // namespace reseq::test

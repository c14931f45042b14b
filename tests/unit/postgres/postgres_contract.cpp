// The contract suite over PostgreSQL: with the usual limits, and with small ones.

#include <string>

#include "journal_contract.hpp"
#include "journal_fixture.hpp"
#include "postgres_server.hpp"
#include "reseq/store/postgres/postgres_journal.hpp"

namespace reseq::test {

namespace {

class postgres_store final : public journal_store {
public:
  explicit postgres_store(store::postgres::postgres_options options) : options_(std::move(options)) {
    options_.url = postgres_server::shared().create_database();
  }
  result<std::unique_ptr<store::journal>> open() override { return store::postgres::open_postgres(options_); }

private:
  store::postgres::postgres_options options_;
};

/// The same checks with nothing, something and everything in the index, and in one partition or in many.
store_factory postgres_stores() {
  store::postgres::postgres_options options;
  options.node = "test";
  const int variant = GENERATE(0, 1, 2);
  CAPTURE(variant);
  if (variant == 1) options.indexes = {16, 100};
  if (variant == 2) {
    options.indexes = {1, 1};
    options.partition_messages = 8;
  }
  return [options] { return std::make_unique<postgres_store>(options); };
}

} // namespace

TEST_CASE("the PostgreSQL journal accepts as the contract says") { check_acceptance(postgres_stores()); }
TEST_CASE("the PostgreSQL journal reads as the contract says") { check_reading(postgres_stores()); }
TEST_CASE("the PostgreSQL journal saves changes as the contract says") { check_changes(postgres_stores()); }
TEST_CASE("the PostgreSQL journal opens as the contract says") { check_opening(postgres_stores()); }
TEST_CASE("the PostgreSQL journal forgets as the contract says") { check_retention(postgres_stores()); }
TEST_CASE("the PostgreSQL journal goes on after it went backwards as the contract says") {
  check_recovery(postgres_stores());
}
TEST_CASE("the PostgreSQL journal holds every reported receipt after a kill, without gaps") {
  check_kill(postgres_stores());
}

} // namespace reseq::test

// The contract suite over SQLite: with the usual limits, and with indexes that are written all the time.

#include <string>

#include "journal_contract.hpp"
#include "journal_fixture.hpp"
#include "reseq/store/sqlite/sqlite_journal.hpp"

namespace reseq::test {

namespace {

class sqlite_store final : public journal_store {
public:
  explicit sqlite_store(const store::sqlite::sqlite_options& options) : options_(options) {}
  result<std::unique_ptr<store::journal>> open() override {
    return store::sqlite::open_sqlite(directory_.path() / "data", options_);
  }

private:
  scratch_directory directory_;
  store::sqlite::sqlite_options options_;
};

/// The same checks with nothing, something and everything in the index tables.
store_factory sqlite_stores() {
  store::sqlite::sqlite_options options;
  const int variant = GENERATE(0, 1, 2);
  CAPTURE(variant);
  if (variant == 1) options.indexes = {16, 100};
  if (variant == 2) {
    options.indexes = {1, 1};
    options.wal = {16U << 10U, 64U << 10U};
  }
  return [options] { return std::make_unique<sqlite_store>(options); };
}

} // namespace

TEST_CASE("the SQLite journal accepts as the contract says") { check_acceptance(sqlite_stores()); }
TEST_CASE("the SQLite journal reads as the contract says") { check_reading(sqlite_stores()); }
TEST_CASE("the SQLite journal saves changes as the contract says") { check_changes(sqlite_stores()); }
TEST_CASE("the SQLite journal opens as the contract says") { check_opening(sqlite_stores()); }
TEST_CASE("the SQLite journal forgets as the contract says") { check_retention(sqlite_stores()); }
TEST_CASE("the SQLite journal goes on after it went backwards as the contract says") {
  check_recovery(sqlite_stores());
}
TEST_CASE("the SQLite journal holds every reported receipt after a kill, without gaps") { check_kill(sqlite_stores()); }

} // namespace reseq::test

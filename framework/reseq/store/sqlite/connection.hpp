/// A connection to the journal's database: cached statements, and errors that latch.
///
/// After a statement has failed, the following ones on the same connection do nothing until `outcome()` has been asked:
/// a transaction is written as a straight line and judged once, at its end. Used by one thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <sqlite3.h>

#include "reseq/model/error.hpp"

namespace reseq::store::sqlite {

class connection;

/// One use of a cached statement. Values are bound in order, without copying: what is bound must outlive the use.
class query {
public:
  query(connection& db, sqlite3_stmt* prepared) : db_(&db), prepared_(prepared) {}
  ~query();
  query(query&& other) noexcept : db_(other.db_), prepared_(std::exchange(other.prepared_, nullptr)) {}
  query(const query&) = delete;
  query& operator=(const query&) = delete;
  query& operator=(query&&) = delete;

  query& number(std::uint64_t value);
  query& signed_number(std::int64_t value);
  query& text(std::string_view value);
  query& blob(std::string_view value);

  /// The next row, if there is one and nothing has failed.
  bool next();
  /// Runs it to its end, and makes it ready to be bound again.
  void run();
  /// Makes it ready to be bound again.
  void again();

  /// Columns of the row, from 0; views live until the next step.
  [[nodiscard]] std::uint64_t number_at(int column) const;
  [[nodiscard]] std::int64_t signed_number_at(int column) const;
  [[nodiscard]] bool null_at(int column) const;
  [[nodiscard]] std::string_view bytes_at(int column) const;

private:
  void check(int code);

  connection* db_;
  sqlite3_stmt* prepared_;
  int bound_ = 0;
};

/// How long a statement waits for somebody else's lock, an operator's shell say, before it fails.
inline constexpr std::chrono::milliseconds lock_patience{5000};

class connection {
public:
  /// Opens or creates the file. `cache_bytes` bounds its page cache.
  static result<std::unique_ptr<connection>> open(const std::filesystem::path& file, std::uint64_t cache_bytes);
  ~connection();
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  /// Whether the last connection to close copies the log into the database and removes it. At first it does not, so
  /// that a journal that is refused stays as it was.
  void checkpoint_on_close(bool wanted);

  /// `sql` must be a literal: the cache goes by its address.
  query use(const char* sql);
  /// Statements without parameters and rows, not cached.
  void execute(const std::string& sql);
  /// The first column of the first row of `sql`, a literal without parameters; nothing if there is no row.
  std::optional<std::uint64_t> single(const char* sql);

  [[nodiscard]] std::uint64_t changed_rows() const;
  [[nodiscard]] sqlite3* handle() const { return db_; }

  [[nodiscard]] bool ok() const { return !failed_; }
  /// Notes a failure that is not SQLite's.
  void fail_with(error why);
  /// Notes SQLite's failure `code`; SQLITE_OK, ROW and DONE are none.
  void check(int code);
  /// The first failure since the last call, and forgets it.
  result<void> outcome();

private:
  connection(sqlite3* db, std::string file) : db_(db), file_(std::move(file)) {}

  sqlite3* db_;
  std::string file_;
  std::unordered_map<const char*, sqlite3_stmt*> statements_;
  std::optional<error> failed_;
};

/// A transaction that is rolled back unless `commit()` succeeded.
class transaction {
public:
  enum class kind { read, write };

  transaction(connection& db, kind what);
  ~transaction();
  transaction(const transaction&) = delete;
  transaction& operator=(const transaction&) = delete;

  /// The first failure of anything in it; after one, nothing of it has happened.
  result<void> commit();

private:
  void roll_back();

  connection& db_;
  bool open_;
};

/// What SQLite's `code` means for a caller. `system_errno` is what the operating system said, 0 if nothing.
errc meaning(int code, int system_errno);

} // namespace reseq::store::sqlite

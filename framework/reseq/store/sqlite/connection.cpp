#include "reseq/store/sqlite/connection.hpp"

#include <cerrno>
#include <limits>
#include <system_error>
#include <utility>

namespace reseq::store::sqlite {

errc meaning(int code, int system_errno) {
  if (system_errno == ENOSPC || system_errno == EDQUOT || system_errno == EFBIG) return errc::no_space;
  switch (code & 0xff) {
  case SQLITE_FULL: return errc::no_space;
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB: return errc::corrupt;
  case SQLITE_MISUSE:
  case SQLITE_RANGE:
  case SQLITE_MISMATCH:
  case SQLITE_CONSTRAINT:
  case SQLITE_ERROR: return errc::internal;
  case SQLITE_TOOBIG: return errc::too_large;
  default: return errc::unavailable;
  }
}

query::~query() {
  if (prepared_ != nullptr) sqlite3_reset(prepared_);
}

void query::check(int code) { db_->check(code); }

query& query::number(std::uint64_t value) { return signed_number(static_cast<std::int64_t>(value)); }

query& query::signed_number(std::int64_t value) {
  if (prepared_ != nullptr) check(sqlite3_bind_int64(prepared_, ++bound_, value));
  return *this;
}

query& query::text(std::string_view value) {
  const char* data = value.data() == nullptr ? "" : value.data(); // a null pointer would bind NULL
  if (prepared_ != nullptr)
    check(sqlite3_bind_text64(prepared_, ++bound_, data, value.size(), SQLITE_STATIC, SQLITE_UTF8));
  return *this;
}

query& query::blob(std::string_view value) {
  const char* data = value.data() == nullptr ? "" : value.data();
  if (prepared_ != nullptr) check(sqlite3_bind_blob64(prepared_, ++bound_, data, value.size(), SQLITE_STATIC));
  return *this;
}

bool query::next() {
  if (prepared_ == nullptr || !db_->ok()) return false;
  errno = 0; // so that `check` finds what this step's system calls left there
  const int code = sqlite3_step(prepared_);
  if (code == SQLITE_ROW) return true;
  check(code);
  return false;
}

void query::run() {
  while (next()) {
  }
  again();
}

void query::again() {
  if (prepared_ != nullptr) sqlite3_reset(prepared_);
  bound_ = 0;
}

std::uint64_t query::number_at(int column) const { return static_cast<std::uint64_t>(signed_number_at(column)); }

std::int64_t query::signed_number_at(int column) const { return sqlite3_column_int64(prepared_, column); }

bool query::null_at(int column) const { return sqlite3_column_type(prepared_, column) == SQLITE_NULL; }

std::string_view query::bytes_at(int column) const {
  const void* data = sqlite3_column_blob(prepared_, column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(prepared_, column));
  return data == nullptr ? std::string_view{} : std::string_view{static_cast<const char*>(data), size};
}

result<std::unique_ptr<connection>> connection::open(const std::filesystem::path& file, std::uint64_t cache_bytes) {
  sqlite3* raw = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(file.c_str(), &raw, flags, nullptr);
  std::unique_ptr<connection> opened(new connection(raw, file.string()));
  opened->check(code);
  if (code == SQLITE_OK) {
    sqlite3_extended_result_codes(raw, 1);
    sqlite3_busy_timeout(raw, static_cast<int>(lock_patience.count()));
    opened->checkpoint_on_close(false);
    opened->execute("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY; "
                    "PRAGMA cache_size = -" +
                    std::to_string(cache_bytes / 1024));
  }
  if (auto done = opened->outcome(); !done) return tl::unexpected(std::move(done.error()));
  return opened;
}

connection::~connection() {
  for (const auto& [sql, prepared] : statements_) sqlite3_finalize(prepared);
  sqlite3_close_v2(db_);
}

void connection::checkpoint_on_close(bool wanted) {
  sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, wanted ? 0 : 1, nullptr);
}

query connection::use(const char* sql) {
  if (!ok()) return {*this, nullptr};
  if (const auto it = statements_.find(sql); it != statements_.end()) return {*this, it->second};
  sqlite3_stmt* prepared = nullptr;
  check(sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &prepared, nullptr));
  if (prepared != nullptr) statements_.emplace(sql, prepared);
  return {*this, prepared};
}

void connection::execute(const std::string& sql) {
  if (ok()) check(sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr));
}

std::optional<std::uint64_t> connection::single(const char* sql) {
  auto row = use(sql);
  if (!row.next() || row.null_at(0)) return std::nullopt;
  return row.number_at(0);
}

std::uint64_t connection::changed_rows() const { return static_cast<std::uint64_t>(sqlite3_changes(db_)); }

void connection::fail_with(error why) {
  if (!failed_) failed_ = std::move(why);
}

void connection::check(int code) {
  if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE || failed_) return;
  const int primary = code & 0xff;
  const bool from_system = primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN || primary == SQLITE_FULL;
  // SQLite does not record it when a commit's write fails.
  const int left_behind = errno;
  const int recorded = db_ != nullptr ? sqlite3_system_errno(db_) : 0;
  const int system_errno = !from_system ? 0 : left_behind != 0 ? left_behind : recorded;
  std::string text = db_ != nullptr ? sqlite3_errmsg(db_) : sqlite3_errstr(code);
  if (system_errno != 0) text += ": " + std::generic_category().message(system_errno);
  failed_ = error{meaning(code, system_errno), std::move(text), file_};
  if (failed_->code == errc::corrupt)
    failed_->what += "; put back all files of the directory from one and the same copy";
  if (failed_->code == errc::no_space) failed_->what += "; make room there: nothing that was accepted is lost";
}

result<void> connection::outcome() {
  if (auto why = std::exchange(failed_, std::nullopt)) return tl::unexpected(std::move(*why));
  return {};
}

transaction::transaction(connection& db, kind what) : db_(db), open_(true) {
  auto begin = what == kind::write ? db_.use("BEGIN IMMEDIATE") : db_.use("BEGIN");
  begin.run();
}

transaction::~transaction() {
  if (!open_) return;
  roll_back();
  static_cast<void>(db_.outcome()); // whoever gives up before the commit has said why
}

result<void> transaction::commit() {
  db_.use("COMMIT").run();
  open_ = false;
  auto outcome = db_.outcome();
  if (!outcome) roll_back();
  return outcome;
}

void transaction::roll_back() {
  // SQLite itself has rolled back after some errors; then there is nothing left to do.
  if (sqlite3_get_autocommit(db_.handle()) == 0) sqlite3_exec(db_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

} // namespace reseq::store::sqlite

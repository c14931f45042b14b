/// What differs between libpqxx 6.4 (Debian 12) and 7.x (everywhere else); nothing else includes libpqxx.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <version>

#ifdef RESEQ_PQXX_AS_CPP17
// Ubuntu 24.04's library was built as C++17, where its exceptions do not know where they were thrown; in C++20 its
// headers say that they do.
#pragma push_macro("__cpp_lib_source_location")
#undef __cpp_lib_source_location
#endif
#include <pqxx/pqxx>
#include <pqxx/version>
#ifdef RESEQ_PQXX_AS_CPP17
#pragma pop_macro("__cpp_lib_source_location")
#endif

namespace reseq::store::postgres {

#if PQXX_VERSION_MAJOR < 7

/// A parameter in PostgreSQL's binary format. `bytes` must outlive its use.
inline pqxx::binarystring binary(const std::string& bytes) { return {bytes.data(), bytes.size()}; }

/// 6.4 connects anew by itself, in the middle of whatever was going on.
inline void never_reconnect(pqxx::connection& db) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  db.inhibit_reactivation(true);
#pragma GCC diagnostic pop
}

/// Errors name the table, the column and the constraint from now on.
inline void tell_more(pqxx::connection& db) { db.set_verbosity(pqxx::connection_base::verbose); }

#else

inline std::basic_string_view<std::byte> binary(const std::string& bytes) {
  return {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()};
}

inline void never_reconnect(pqxx::connection&) {}

inline void tell_more(pqxx::connection& db) { db.set_verbosity(pqxx::error_verbosity::verbose); }

#endif

/// Calls `hear` with what the server warns of, for as long as what it answers is kept; that goes before `db`.
using notice_listener = std::function<void(std::string_view)>;
#if PQXX_VERSION_MAJOR > 7 || (PQXX_VERSION_MAJOR == 7 && PQXX_VERSION_MINOR >= 10)
inline std::shared_ptr<void> hear_notices(pqxx::connection& db, notice_listener hear) {
  db.set_notice_handler([hear = std::move(hear)](pqxx::zview said) { hear(said); });
  return {&db, [](pqxx::connection* heard) { heard->set_notice_handler({}); }};
}
#else
class notice_handler final : public pqxx::errorhandler {
public:
  notice_handler(pqxx::connection& db, notice_listener hear) : pqxx::errorhandler(db), hear_(std::move(hear)) {}
  bool operator()(const char said[]) noexcept override {
    hear_(said);
    return true;
  }

private:
  notice_listener hear_;
};

inline std::shared_ptr<void> hear_notices(pqxx::connection& db, notice_listener hear) {
  return std::make_shared<notice_handler>(db, std::move(hear));
}
#endif

/// What the server said was wrong with a statement, by SQLSTATE; empty if it said nothing. All leave the state out of a
/// missing privilege, and 6.4's exceptions for transactions that were rolled back are no `sql_error`.
inline std::string sqlstate_of(const std::exception& e) {
#if PQXX_VERSION_MAJOR < 7
  if (dynamic_cast<const pqxx::serialization_failure*>(&e) != nullptr) return "40001";
  if (dynamic_cast<const pqxx::deadlock_detected*>(&e) != nullptr) return "40P01";
  if (dynamic_cast<const pqxx::transaction_rollback*>(&e) != nullptr) return "40000";
#endif
  const auto* said = dynamic_cast<const pqxx::sql_error*>(&e);
  if (said == nullptr) return {};
  const bool lacks_privilege = dynamic_cast<const pqxx::insufficient_privilege*>(&e) != nullptr;
  return lacks_privilege && said->sqlstate().empty() ? "42501" : said->sqlstate();
}

/// What it says of that. In 7.10, the name of a prepared statement stands before what the server said.
inline std::string said_by(const std::exception& e) {
  std::string said = e.what();
#if PQXX_VERSION_MAJOR >= 7
  constexpr std::string_view before = "Failure during '";
  constexpr std::string_view behind = "': ";
  if (const auto at = said.find(behind); said.starts_with(before) && at != std::string::npos)
    said.erase(0, at + behind.size());
#endif
  return said;
}

/// Whether it is what a session's end is known by that nobody was using: 6.4 asks for its encoding first, and says only
/// that.
inline bool says_that_session_ended(const std::string& said) {
#if PQXX_VERSION_MAJOR < 7
  return said.find("obtain client encoding") != std::string::npos;
#else
  return said.find("Lost connection to the database server") != std::string::npos;
#endif
}

template <class... Arguments>
pqxx::result run_prepared(pqxx::transaction_base& tx, const std::string& name, const Arguments&... arguments) {
#if PQXX_VERSION_MAJOR > 7 || (PQXX_VERSION_MAJOR == 7 && PQXX_VERSION_MINOR >= 10)
  return tx.exec(pqxx::prepped{name}, pqxx::params{arguments...});
#else
  return tx.exec_prepared(name, arguments...);
#endif
}

/// One statement, not prepared; `values` are anything whose `text()` is an optional string.
template <class Value>
pqxx::result run_once(pqxx::transaction_base& tx, const std::string& sql, const std::vector<Value>& values) {
#if PQXX_VERSION_MAJOR < 7
  std::vector<const char*> texts;
  texts.reserve(values.size());
  for (const auto& one : values) texts.push_back(one.text() ? one.text()->c_str() : nullptr);
  return tx.exec_params(sql, pqxx::prepare::make_dynamic_params(texts));
#else
  pqxx::params texts;
  for (const auto& one : values) {
    if (one.text())
      texts.append(*one.text());
    else
      texts.append();
  }
#if PQXX_VERSION_MAJOR > 7 || PQXX_VERSION_MINOR >= 10
  return tx.exec(sql, texts);
#else
  return tx.exec_params(sql, texts);
#endif
#endif
}

/// COPY of whole rows, arrays of strings, into `table`; only the benchmarks do that.
template <class Row>
void copy_rows(pqxx::transaction_base& tx, const std::string& table, const std::vector<Row>& rows) {
#if PQXX_VERSION_MAJOR < 7
  pqxx::stream_to into(tx, table);
#else
  auto into = pqxx::stream_to::table(tx, {table});
#endif
  for (const auto& row : rows) into << row;
  into.complete();
}

inline std::string_view view_of(const pqxx::field& from) { return {from.c_str(), from.size()}; }

} // namespace reseq::store::postgres

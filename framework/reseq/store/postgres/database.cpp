#include "reseq/store/postgres/database.hpp"

#include <random>
#include <sstream>

#include "reseq/store/postgres/server_message.hpp"
#include "reseq/store/postgres/session_check.hpp"

namespace reseq::store::postgres {

namespace {

constexpr const char* lock_timeout_text = "another session keeps locked what is needed, and pg_stat_activity shows it";
constexpr const char* statement_names = "reseq_"; // as all names begin
constexpr int oldest_server = 130000;             // has gen_random_uuid

constexpr const char* session_settings =
  "SET synchronous_commit = on; SET client_encoding = 'UTF8'; SET bytea_output = 'hex'; SET timezone = 'UTC'; "
  "SET client_min_messages = warning; SET default_transaction_isolation = 'read committed'; "
  "SET default_transaction_read_only = off; SET statement_timeout = 0; "
  // A session whose client is gone without a word must not keep its locks.
  "SET idle_in_transaction_session_timeout = '10s'; SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; "
  "SET tcp_keepalives_count = 3";

/// Statements know their plan without statistics, which a young table does not have: no index is ever the worse choice.
constexpr const char* journal_settings =
  "SET jit = off; SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan; SET search_path = pg_catalog; "
  // Producers wait, and are to be told before they give up.
  "SET work_mem = '32MB'; SET lock_timeout = '5s'";

std::string in_other_words(std::string said) {
  if (!says_that_session_ended(said)) return said;
  return "the session has ended: the server was started again, say, or somebody ended the session";
}

bool starts(const std::string& state, std::string_view with) { return state.starts_with(with); }

/// One of ours was prepared, and is not there; or was not, and is. (A trigger may raise anything.)
bool is_of_other_session(const server_message& message) {
  return (message.state == "26000" || message.state == "42P05") &&
         message.text.find(statement_names) != std::string::npos;
}

errc meaning(const server_message& message) {
  const auto& state = message.state;
  if (state == "53100") return errc::no_space;
  if (state == "23505" || state == "XX001" || state == "XX002") return errc::corrupt;
  // Out of something, somebody's intervention, the system, a lock, a rollback, a connection, a standby; and what an
  // administrator may have taken away, and can give back: a privilege, a table, a schema.
  for (const auto* away : {"53", "57", "58", "55", "40", "08", "25006", "42501", "42P01", "3F000"})
    if (starts(state, away)) return errc::unavailable;
  if (is_of_other_session(message)) return errc::unavailable;
  return starts(state, "28") || starts(state, "3D") ? errc::invalid : errc::internal;
}

std::string advice(const server_message& message, bool for_journal) {
  const auto& state = message.state;
  if (state == "55P03") return lock_timeout_text;
  if (is_of_other_session(message)) return not_sessions;
  if (state == "53100") return "the database server's disk is full: make room there";
  const std::string url = for_journal ? "store.postgres" : "the destination's url";
  if (state == "25006") return "the server takes no writes: is it a standby that " + url + " names?";
  if (state == "42501")
    return "the role of " + url + " lacks a privilege: " +
           (for_journal ? "it must own the schema reseq and what is in it"
                        : "it must be allowed to write what the destination writes, and reseq.delivered, and to make "
                          "what of that is not there; conf/sql/roles.sql shows how");
  if (for_journal && (state == "42P01" || state == "3F000"))
    return "the schema reseq is not there, or not as it was: is the database of store.postgres another one than "
           "before?";
  return {};
}

/// In a session that a pooler gave another connection before, they lead to none of that one's statements.
std::string own_names() {
  std::random_device random;
  return statement_names + std::to_string(random()) + "_" + std::to_string(random()) + "_";
}

/// Whether the first one does not end the session, as a pooler of statements does.
bool takes_transactions(pqxx::connection& db) {
  try {
    pqxx::work(db).commit();
    return true;
  } catch (const pqxx::broken_connection&) {
    return false;
  }
}

tl::unexpected<error> cannot_connect(session_for use, const std::string& why) {
  const auto* where = use == session_for::journal ? "; store.postgres says where to" : "";
  return fail(errc::unavailable, "cannot connect: " + why + where, "PostgreSQL");
}

/// As "30 s".
std::string in_seconds(std::chrono::nanoseconds time) {
  std::ostringstream out;
  out << std::chrono::duration<double>(time).count() << " s";
  return out.str();
}

} // namespace

database::database(std::unique_ptr<pqxx::connection> connected, const server_url& url, session_for use,
                   silence_limit longest_silence)
  : connection_(std::move(connected)), deadline_(connection_->sock()), longest_silence_(longest_silence), url_(url),
    use_(use), names_(own_names()) {
  if (use == session_for::journal)
    hears_ = hear_notices(*connection_, [this](std::string_view said) { warnings_ += said; });
}

result<std::unique_ptr<database>> database::connect(const server_url& url, session_for use,
                                                    silence_limit longest_silence) {
  if (!url.mistake().empty()) return cannot_connect(use, url.mistake());
  try {
    auto connected = std::make_unique<pqxx::connection>(url.conninfo());
    auto made = std::make_unique<database>(std::move(connected), url, use, longest_silence);
    if (auto ready = made->set_up(); !ready) return tl::unexpected(std::move(ready.error()));
    return made;
  } catch (const std::exception& e) {
    return cannot_connect(use, url.without_secrets(e.what()));
  }
}

result<void> database::set_up() {
  const answer_expected until_it_is(*this);
  try {
    never_reconnect(*connection_);
    if (use_ == session_for::receiver) tell_more(*connection_);
    pqxx::nontransaction(*connection_).exec(session_settings);
    if (takes_transactions(*connection_)) return use_ == session_for::journal ? set_up_journal() : result<void>{};
    return cannot_connect(use_, deadline_.passed() ? not_answered("a BEGIN").what : no_transactions);
  } catch (const std::exception& e) {
    return cannot_connect(use_, deadline_.passed() ? not_answered("a statement").what : url_.without_secrets(e.what()));
  }
}

result<void> database::set_up_journal() {
  if (connection_->server_version() < oldest_server)
    return fail(errc::incompatible, "PostgreSQL 13 or later is needed", "store.postgres");
  pqxx::nontransaction tx(*connection_);
  tx.exec(journal_settings);
  const auto is = tx.exec("SELECT current_setting('server_encoding'), pg_is_in_recovery(), pg_backend_pid()");
  // It would be read as well, and lags. The next attempt may lead to another server.
  if (is[0][1].as<bool>()) return fail(errc::unavailable, "the server of store.postgres is a standby", "PostgreSQL");
  if (view_of(is[0][0]) != "UTF8")
    return fail(errc::incompatible,
                "the database's encoding is " + std::string(view_of(is[0][0])) +
                  ": create one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
                "store.postgres");
  backend_ = is[0][2].as<int>();
  return {};
}

const std::string& database::prepared(const char* sql) {
  const auto known = statements_.find(sql);
  if (known != statements_.end()) return known->second;
  std::string name = names_ + std::to_string(named_++);
  connection_->prepare(name, sql);
  return statements_.emplace(sql, std::move(name)).first->second;
}

void database::forget(const char* sql) {
  const auto known = statements_.find(sql);
  if (known == statements_.end()) return;
  connection_->unprepare(known->second);
  statements_.erase(known);
}

result<void> database::require_session(int backend) {
  if (backend == backend_) return {};
  broken_ = lost_session_ = true;
  return fail(errc::unavailable, not_sessions, "PostgreSQL");
}

error database::doubt_commit() {
  broken_ = true;
  return {errc::in_doubt, "the server warned while it was committing: " + warnings_.substr(0, warnings_.find('\n')),
          "PostgreSQL"};
}

error database::not_answered(const char* asked) {
  broken_ = true;
  given_up_ = std::string("the server has not answered ") + asked + " for " +
              in_seconds(longest_silence_.value_or(std::chrono::seconds{0})) +
              ", and was given up: it hangs, or waits for a synchronous standby that is away";
  return {errc::unavailable, given_up_, "PostgreSQL"};
}

error database::explain(const std::exception_ptr& what, const char* asked) {
  if (deadline_.passed()) return not_answered(asked);
  try {
    std::rethrow_exception(what);
  } catch (const pqxx::in_doubt_error& e) {
    broken_ = true;
    return {errc::in_doubt, "the connection broke while the server was committing", "PostgreSQL"};
  } catch (const pqxx::broken_connection& e) {
    broken_ = true;
    // A trigger may raise what libpqxx takes for that.
    return {errc::unavailable, in_other_words(url_.without_secrets(read_message(e).text)), "PostgreSQL"};
  } catch (const std::exception& e) {
    const auto message = read_message(e);
    const auto& state = message.state;
    auto said = in_other_words(url_.without_secrets(message.text));
    if (broken() || starts(state, "57P") || starts(state, "08")) {
      broken_ = true;
      return {errc::unavailable, std::move(said), "PostgreSQL"};
    }
    if (state.empty()) {
      broken_ = true; // whatever it was, this session's state is not known
      const bool is_server = dynamic_cast<const pqxx::sql_error*>(&e) != nullptr;
      return {is_server ? errc::unavailable : errc::internal, std::move(said), "PostgreSQL"};
    }
    lost_session_ = lost_session_ || is_of_other_session(message);
    // A new session has its statements, or may lead to another server, or to another state of this one.
    if (lost_session_ || state == "25006") broken_ = true;
    const std::string hint = advice(message, use_ == session_for::journal);
    said += " (" + state + ")";
    return {meaning(message), hint.empty() ? std::move(said) : hint + "; the server says: " + said, "PostgreSQL"};
  }
}

bool is_lock_timeout(const error& failed) { return failed.what.starts_with(lock_timeout_text); }

} // namespace reseq::store::postgres

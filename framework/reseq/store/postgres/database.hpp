/// One connection to a database, the journal's or a destination's: cached statements, and what PostgreSQL's errors mean
/// for a caller.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "reseq/model/error.hpp"
#include "reseq/store/postgres/deadline.hpp"
#include "reseq/store/postgres/pqxx_versions.hpp"
#include "reseq/store/postgres/server_url.hpp"

namespace reseq::store::postgres {

/// What a session is for.
enum class session_for {
  journal,  ///< only the program's own statements: plans, names, and how long one waits for a lock, are settled
  receiver, ///< other people's tables: planned and looked up as the role is used to
};

/// How long a server may leave a statement or a COMMIT without an answer; nothing: for ever.
using silence_limit = std::optional<std::chrono::nanoseconds>;

class database {
public:
  /// Connects, which takes as long as the URL's `connect_timeout`, and sets the session up: durable commits, whatever
  /// the server's default is. `url` must outlive it.
  ///
  /// From then on whoever waits for an answer for longer than `longest_silence` finds the connection broken. That
  /// counts from the last statement on, and nothing is cut that is not waited for.
  static result<std::unique_ptr<database>> connect(const server_url& url, session_for use,
                                                   silence_limit longest_silence);

  /// Not set up.
  database(std::unique_ptr<pqxx::connection> connected, const server_url& url, session_for use,
           silence_limit longest_silence);

  [[nodiscard]] silence_limit longest_silence() const { return longest_silence_; }
  /// From the next transaction on.
  void allow_silence(silence_limit longest) { longest_silence_ = longest; }

  /// Runs `sql`, a literal (the cache goes by its address), and throws what libpqxx throws.
  template <class... Arguments>
  pqxx::result run(pqxx::transaction_base& tx, const char* sql, const Arguments&... arguments) {
    expect_answer();
    return run_prepared(tx, prepared(sql), arguments...);
  }

  /// The same of any statement, which is not kept.
  pqxx::result run_text(pqxx::transaction_base& tx, const std::string& sql) {
    expect_answer();
    return tx.exec(sql);
  }

  /// In a transaction: the server has its whole time anew, …
  void expect_answer() {
    if (longest_silence_) deadline_.arm(*longest_silence_);
  }
  /// … or owes no answer: nothing is asked of it until the next one is expected.
  void expect_nothing() { broken_ = deadline_.disarm() || broken_; }

  /// An answer is expected as long as this lasts.
  class answer_expected {
  public:
    explicit answer_expected(database& of) : of_(of) { of_.expect_answer(); }
    ~answer_expected() { of_.expect_nothing(); }
    answer_expected(const answer_expected&) = delete;
    answer_expected& operator=(const answer_expected&) = delete;

  private:
    database& of_;
  };

  /// Another statement may be at the address of `sql` from now on.
  void forget(const char* sql);

  /// What `what`, called with an open transaction, answers once that is committed; an error of either leaves nothing
  /// behind. `errc::in_doubt` when the connection broke while the server was committing; in a journal's session also
  /// when the server warned of something then: somebody has cancelled its wait for a synchronous standby. The commit of
  /// a session that looks what became of it waits for the standby, too.
  template <class F>
  auto transact(F&& what) -> std::invoke_result_t<F, pqxx::work&> {
    bool committing = false;
    const answer_expected until_it_ended(*this);
    try {
      pqxx::work tx(*connection_);
      auto answer = what(tx);
      committing = answer.has_value();
      warnings_.clear();
      expect_answer();
      if (committing) tx.commit();
      if (committing && !warnings_.empty()) return tl::unexpected(doubt_commit());
      return answer;
    } catch (...) {
      auto why = explain(std::current_exception(), committing ? "a COMMIT" : "a statement");
      // A server that is told to end a session may have committed before it says so.
      if (committing && broken()) why.code = errc::in_doubt;
      return tl::unexpected(std::move(why));
    }
  }

  /// What `sql` answers, as `run`, in a transaction that the server ends by itself: while the answer is on its way to
  /// us, who may be stopped, nothing is locked. Errors are those of `transact`.
  template <class... Arguments>
  result<pqxx::result> run_alone(const char* sql, const Arguments&... arguments) {
    const answer_expected until_it_is(*this);
    try {
      pqxx::nontransaction tx(*connection_);
      warnings_.clear();
      auto rows = run(tx, sql, arguments...);
      if (!warnings_.empty()) return tl::unexpected(doubt_commit());
      return rows;
    } catch (...) {
      return tl::unexpected(explain(std::current_exception(), "a statement"));
    }
  }

  /// Whether it can be used again.
  [[nodiscard]] bool broken() const { return broken_ || !connection_->is_open(); }
  /// Of a journal's: `errc::unavailable` when a transaction found itself in another of the server's processes than the
  /// one that was set up; it is broken then.
  result<void> require_session(int backend);
  /// Whether its session turned out to be another one than it was, as with a pooler: it is broken.
  [[nodiscard]] bool lost_session() const { return lost_session_; }
  /// Why it was broken from here; empty: somebody else has.
  [[nodiscard]] const std::string& given_up() const { return given_up_; }

private:
  result<void> set_up();
  result<void> set_up_journal();
  const std::string& prepared(const char* sql);
  error explain(const std::exception_ptr& what, const char* asked);
  error doubt_commit();
  error not_answered(const char* asked);

  std::unique_ptr<pqxx::connection> connection_;
  deadline deadline_;
  silence_limit longest_silence_;
  std::string warnings_;
  std::shared_ptr<void> hears_;
  const server_url& url_;
  session_for use_;
  int backend_ = 0; ///< the server's process of a journal's session
  std::unordered_map<const char*, std::string> statements_;
  std::string names_; ///< of all its statements; a number follows
  std::uint64_t named_ = 0;
  bool broken_ = false;
  bool lost_session_ = false;
  std::string given_up_;
};

/// Whether `failed` is a lock that was not to be had in time.
bool is_lock_timeout(const error& failed);

} // namespace reseq::store::postgres

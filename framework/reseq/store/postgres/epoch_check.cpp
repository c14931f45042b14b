#include "reseq/store/postgres/epoch_check.hpp"

#include <algorithm>
#include <utility>

namespace reseq::store::postgres {

namespace {

using std::chrono::steady_clock;

/// Where commits are slow, not gone, the next question has twice the time.
constexpr std::chrono::seconds first_patience{2};
constexpr std::chrono::seconds longest_patience{8};

constexpr const char* own_session =
  "SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()";
constexpr const char* end_session =
  "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2::timestamptz";
constexpr const char* lock_and_look = "SELECT epoch FROM reseq.shard WHERE number = $1 FOR KEY SHARE";

} // namespace

epoch_check::epoch_check(const server_url& url, std::chrono::nanoseconds longest_silence)
  : url_(url), most_(std::min<std::chrono::nanoseconds>(longest_silence, longest_patience)),
    patience_(std::min<std::chrono::nanoseconds>(most_, first_patience)) {}

result<epoch> epoch_check::owner_of(const partitioned_shard& shard) {
  const auto began = steady_clock::now();
  if (began < not_before_)
    return fail(errc::unavailable, "nobody could say whose the shard is a moment ago, and is asked later",
                "PostgreSQL");
  auto owner = connect().and_then([&] { return end_earlier(); }).and_then([&] { return ask(shard); });
  if (owner) {
    patience_ = std::min<std::chrono::nanoseconds>(most_, first_patience);
    return owner;
  }
  const auto now = steady_clock::now();
  if (now - began >= patience_) patience_ = std::min(most_, 2 * patience_);
  not_before_ = now + (now - began);
  if (owner.error().code == errc::in_doubt) owner.error().code = errc::unavailable; // it has changed nothing
  return owner;
}

result<void> epoch_check::connect() {
  if (db_ && !db_->broken()) return {};
  if (session_) earlier_ = std::exchange(session_, std::nullopt);
  db_.reset();
  auto made = database::connect(url_, session_for::journal, patience_);
  if (!made) return tl::unexpected(std::move(made.error()));
  db_ = std::move(*made);
  return {};
}

/// It waits at the server until the standby is back, and does not notice that nobody waits for it: each question would
/// leave one more.
result<void> epoch_check::end_earlier() {
  if (!earlier_) return {};
  const auto there = db_->run_alone(end_session, earlier_->pid, earlier_->since);
  if (!there) return tl::unexpected(there.error());
  if (!there->empty())
    return fail(errc::unavailable, "a session that asked before still waits for its commit", "PostgreSQL");
  earlier_.reset();
  return {};
}

result<epoch> epoch_check::ask(const partitioned_shard& shard) {
  db_->allow_silence(patience_);
  if (!session_) {
    const auto own = db_->run_alone(own_session);
    if (!own) return tl::unexpected(own.error());
    session_ = session{(*own)[0][0].as<int>(), (*own)[0][1].c_str()};
  }
  return db_->run_alone(lock_and_look, shard.number).map([](const pqxx::result& rows) {
    return rows.empty() ? epoch{} : epoch{rows[0][0].as<std::uint64_t>()};
  });
}

} // namespace reseq::store::postgres

/// Whether connections are sessions: settings, prepared statements and what is known of the server's processes hold
/// only as long as each keeps its own.
#pragma once

#include "reseq/model/error.hpp"
#include "reseq/store/postgres/database.hpp"

namespace reseq::store::postgres {

/// What to say where they are not.
inline constexpr const char* not_sessions =
  "a pooler gives transactions of one connection different sessions of the server (PgBouncer with pool_mode = "
  "transaction?), and one of its own is needed: name the server itself, or a pool of sessions (pool_mode = session)";

/// What to say where a session ends with its first transaction.
inline constexpr const char* no_transactions =
  "the session was ended when it began a transaction: a pooler of statements does that (PgBouncer with pool_mode = "
  "statement?), and sessions are needed: name the server itself, or a pool of sessions (pool_mode = session)";

/// `errc::incompatible`, with advice, when what is between here and the server gives one transaction another session
/// than the next. `one` and `other` are connections to the same URL that nobody else uses meanwhile.
result<void> refuse_transaction_pooler(database& one, database& other);

} // namespace reseq::store::postgres

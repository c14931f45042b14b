#include "reseq/store/postgres/session_check.hpp"

namespace reseq::store::postgres {

namespace {

/// Other clients of a pooler may take the sessions in between.
constexpr int rounds = 3;

int backend_of(pqxx::work& tx) { return tx.exec("SELECT pg_backend_pid()")[0][0].as<int>(); }

result<int> backend_of(database& db) {
  return db.transact([](pqxx::work& tx) -> result<int> { return backend_of(tx); });
}

} // namespace

/// What a pooler gave to the one's last transaction, it gives to the other's next, or to none of them again so soon: it
/// takes either the session that was used last or the one that was not for longest.
result<void> refuse_transaction_pooler(database& one, database& other) {
  const auto first = backend_of(one);
  if (!first) return tl::unexpected(first.error());
  for (int round = 0; round < rounds; ++round) {
    const auto own = other.transact([&](pqxx::work& tx) -> result<bool> {
      if (backend_of(tx) == *first) return false;
      const auto again = backend_of(one);
      if (!again) return tl::unexpected(again.error());
      return *again == *first;
    });
    if (!own) return tl::unexpected(own.error());
    if (!*own) return fail(errc::incompatible, not_sessions, "store.postgres");
  }
  return {};
}

} // namespace reseq::store::postgres

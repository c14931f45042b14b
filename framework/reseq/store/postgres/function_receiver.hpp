/// A destination that is a function of the user's, in a transaction of any PostgreSQL database.
#pragma once

#include <optional>
#include <span>

#include "reseq/model/transaction.hpp"
#include "reseq/store/postgres/fenced_receiver.hpp"

namespace reseq::store::postgres {

/// As `fenced_receiver`. What the function throws is read as `model/transaction.hpp` says.
class function_receiver : public fenced_receiver {
public:
  /// `timeout` is of each statement, and some seconds more than that may pass between two; `grace` as `fenced_receiver`
  /// has it, of which the function's own time is no part.
  function_receiver(server_url server, receiver_owner owner, duration timeout, delivery_function f, listener tell = {},
                    duration grace = grace_for_timeout);

private:
  result<void> prepare(database& db, pqxx::work& tx) override;
  std::optional<core::receiver_answer> take(database& db, pqxx::work& tx, std::span<const received> items) override;

  delivery_function f_;
};

/// Whether PostgreSQL would take it as a command about transactions: COMMIT, ROLLBACK, SAVEPOINT, … Comments and white
/// space before it do not count.
bool ends_transaction(std::string_view statement);

} // namespace reseq::store::postgres

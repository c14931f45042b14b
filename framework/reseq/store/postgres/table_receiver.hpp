/// A table that a destination fills, in any PostgreSQL database.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/store/postgres/database.hpp"
#include "reseq/store/postgres/server_url.hpp"
#include "reseq/store/postgres/table_url.hpp"
#include "reseq/store/transactional_receiver.hpp"

namespace reseq::store::postgres {

/// Each call of `deliver` is one transaction: it locks the destination's row in `reseq.delivered`, looks at the epoch
/// and the last sequence there, inserts what is new, and writes both. A transaction whose commit is in doubt is cleared
/// up by doing it again: the lock waits for the end of the old one, and the row tells what became of it.
///
/// The table gets `(sequence, position, message_id, key, headers, payload, delivered_at)`; it may have more columns
/// with defaults, and these may be of any type that the value can be cast to (`payload` is binary if it is a `bytea`,
/// else it must be UTF-8). Both tables are created when they are missing and the role may do that. Otherwise it needs
/// no more than USAGE on the schema `reseq`, SELECT, INSERT and UPDATE on `reseq.delivered`, and INSERT on the table.
class table_receiver : public transactional_receiver {
public:
  /// `timeout` is of each statement.
  table_receiver(table_url to, receiver_owner owner, duration timeout);

  void open() override;
  /// `refused` when the server said that a row's data, or a constraint, is violated (SQLSTATE 22…, 23…, 44…).
  core::receiver_answer deliver(std::span<const received> items) override;

private:
  result<void> connect();
  result<void> prepare(pqxx::work& tx);
  result<void> write(std::span<const received> items, std::optional<core::receiver_answer>& instead);
  void insert(pqxx::work& tx, std::span<const received> items);

  table_url to_;
  server_url server_;
  receiver_owner owner_;
  duration timeout_;
  std::string insert_; ///< for this connection, whose cache goes by its address
  std::unique_ptr<database> db_;
};

} // namespace reseq::store::postgres

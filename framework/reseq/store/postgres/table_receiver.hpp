/// A table that a destination fills, in any PostgreSQL database.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "reseq/store/postgres/fenced_receiver.hpp"
#include "reseq/store/postgres/table_insertion.hpp"
#include "reseq/store/postgres/table_url.hpp"

namespace reseq::store::postgres {

/// As `fenced_receiver`. The table gets `(sequence, position, message_id, key, headers, payload, delivered_at)`; it may
/// have more columns with defaults, and these may be of any type that the value can be cast to (`payload` is binary if
/// it is a `bytea` or a domain over it, else it must be UTF-8). It is created when it is missing and the role may do
/// that, which `tell` hears of; unless the URL names no schema, and the role's search path leads to another one of its
/// name. Otherwise INSERT on it is needed. It may be altered, or another one take its name, at any time: each row is as
/// the table is then.
///
/// A message for which no row is there after it was inserted is refused: a trigger has kept it out. (Where a rule has
/// put rows elsewhere, they are taken to be there.) Where a trigger, or what is behind a view or a foreign table,
/// changes a sequence or an id, nothing is taken, if the role may read them: the server compares what it has inserted
/// with what was sent, unless it is a table without triggers. Where the table has a message's sequence already, and
/// takes each once, that is no fault of the message's: the destination is failing.
class table_receiver : public fenced_receiver {
public:
  /// `timeout` is of each statement, `grace` as `fenced_receiver` has it.
  table_receiver(table_url to, receiver_owner owner, duration timeout, listener tell = {},
                 duration grace = grace_for_timeout);

private:
  result<void> prepare(database& db, pqxx::work& tx) override;
  std::optional<core::receiver_answer> take(database& db, pqxx::work& tx, std::span<const received> items) override;
  core::receiver_answer answer_to(database& db, const server_message& refusal) override;
  std::optional<core::receiver_answer> find_policy(database& db, const server_message& denial) override;
  position position_of(database& db, sequence received) override;
  receiver_record newest(database& db, pqxx::work& tx) override;
  std::optional<core::receiver_answer> find_other(database& db, std::span<const received> items) override;

  result<void> check_place(pqxx::work& tx, bool is_there) const;
  std::optional<core::receiver_answer> look_at_rows(database& db, pqxx::work& tx, std::span<const received> items,
                                                    std::size_t rows);
  result<bool> leaves_empty(database& db, const std::string& column);
  result<void> adapt_to(const table_columns& columns, database& db, pqxx::work& tx);

  table_url to_;
  table_insertion insertion_; ///< for this connection, whose cache goes by the statement's address
};

} // namespace reseq::store::postgres

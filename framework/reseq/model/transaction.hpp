/// A destination that is a function: it gets each message together with an open transaction of a PostgreSQL database,
/// and what it does there happens once, whatever is killed.
///
///     .destination("ledger", "postgresql://reseq@db.example/books",
///                  [](reseq::transaction& tx, const reseq::delivery& d) {
///                    tx.execute("UPDATE account SET balance = balance + $2 WHERE name = $1",
///                               {d.message_id, amount_in(d.body->payload)});
///                  })
///
/// It runs in the supervisor, on a thread of the destination's own, one message after the other in their order; several
/// share a transaction if `batch` says so. It is called again for the same message after anything went wrong, and what
/// it did the time before is gone then: let it do nothing outside of the transaction. What it throws:
///
/// - `permanent_error`, or a `sql_error` by which the server refused the data (SQLSTATE 21…, 22…, 23…, 44…; past a
///   limit: 54…; RAISE: P0…, in other languages than PL/pgSQL: 38…): the message is refused, and held or dead-lettered
///   as `on_refused` says;
/// - anything else, also a `sql_error` for want of a partition (23514, too): the destination is failing, and the
///   message is tried again until it works.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reseq/model/ids.hpp"
#include "reseq/model/message.hpp"

namespace reseq {

/// The value of a statement's `$1`, `$2`, …: PostgreSQL reads it as the type that stands there. One with a byte 0,
/// which no text in PostgreSQL can have, makes the statement a `sql_error` of state 22021.
class parameter {
public:
  parameter(std::nullptr_t) {} ///< NULL
  parameter(std::string text) : text_(std::move(text)) {}
  parameter(std::string_view text) : text_(text) {}
  parameter(const char* text) : text_(text) {}
  parameter(bool value) : text_(value ? "true" : "false") {}
  template <std::integral Number>
  parameter(Number value) : text_(std::to_string(value)) {}
  parameter(double value);
  template <class Value>
  parameter(const std::optional<Value>& value) : parameter(value ? parameter(*value) : parameter(nullptr)) {}

  /// For a `bytea`: any bytes, which text cannot hold.
  static parameter bytes(std::string_view value);

  [[nodiscard]] const std::optional<std::string>& text() const { return text_; }

private:
  std::optional<std::string> text_;
};

/// What a statement answered, each value as PostgreSQL writes it, NULL as nothing.
struct sql_result {
  std::vector<std::vector<std::optional<std::string>>> rows;
  std::uint64_t affected = 0; ///< rows inserted, updated or deleted
};

/// The server did not do a statement, or was not asked to. The transaction can only be given up after it: whoever
/// catches this cannot save what was done before.
class sql_error : public std::runtime_error {
public:
  sql_error(const std::string& what, std::string state) : runtime_error(what), state_(std::move(state)) {}

  /// SQLSTATE, five characters; empty when the connection is gone.
  [[nodiscard]] const std::string& state() const { return state_; }

private:
  std::string state_;
};

/// Open while the function runs; committed after it, together with the note that the message was delivered.
class transaction {
public:
  transaction() = default;
  virtual ~transaction() = default;
  transaction(const transaction&) = delete;
  transaction& operator=(const transaction&) = delete;

  /// One statement. Throws `sql_error`; `std::invalid_argument` for one that would end the transaction (COMMIT,
  /// ROLLBACK, a savepoint and the like).
  virtual sql_result execute(std::string_view statement, const std::vector<parameter>& parameters) = 0;
  sql_result execute(std::string_view statement) { return execute(statement, std::vector<parameter>{}); }
  sql_result execute(std::string_view statement, std::initializer_list<parameter> parameters) {
    return execute(statement, std::vector<parameter>(parameters));
  }
};

/// A message on its way to one destination.
struct delivery {
  std::string id; ///< `{pipeline}/{destination}/{sequence}`: the same whenever this message is sent there again
  sequence seq;
  sequence previous; ///< the last one that was delivered before; 0: none
  position at;
  std::string message_id;
  std::string key;           ///< empty: none
  std::uint32_t attempt = 1; ///< of this delivery, from 1
  content_ptr body;          ///< as the transforms left it; never null
  std::string headers;       ///< the body's, with its content type, as a JSON object: `{"content-type":"text/plain"}`
};

using delivery_function = std::function<void(transaction&, const delivery&)>;

} // namespace reseq

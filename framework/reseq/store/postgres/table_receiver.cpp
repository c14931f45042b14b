#include "reseq/store/postgres/table_receiver.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>
#include <utility>

#include "reseq/store/postgres/binary_array.hpp"

namespace reseq::store::postgres {

namespace {

constexpr const char* definition = R"sql((
  sequence bigint PRIMARY KEY,
  position bigint NOT NULL,
  message_id text NOT NULL,
  key text,
  headers jsonb NOT NULL,
  payload bytea NOT NULL,
  delivered_at timestamptz NOT NULL
))sql";

/// A column, and its value in the rows `r` of the arrays.
struct filled {
  std::string_view name;
  std::string_view value;
};
constexpr std::array<filled, 7> inserted{{{"sequence", "r.s"},
                                          {"position", "r.p"},
                                          {"message_id", "r.m"},
                                          {"key", "nullif(r.k, '')"},
                                          {"headers", "r.h"},
                                          {"payload", "convert_from(r.b, 'UTF8')"},
                                          {"delivered_at", "now()"}}};

using table_columns = std::vector<table_receiver::column>;

constexpr std::string_view of_table = " FROM pg_catalog.pg_attribute WHERE attnum > 0 AND NOT attisdropped AND "
                                      "attrelid = to_regclass(";

/// By the catalogues' rows: other sessions may just have created it. Without their lengths: a cast to varchar(8) cuts
/// off what is longer, where the insertion refuses it.
table_columns columns_of(pqxx::work& tx, const std::string& quoted) {
  table_columns found;
  for (const auto& row : tx.exec("SELECT attname, atttypid, format_type(atttypid, -1)" + std::string(of_table) +
                                 tx.quote(quoted) + ") ORDER BY attnum"))
    found.push_back({std::string(view_of(row[0])), std::string(view_of(row[1])), std::string(view_of(row[2]))});
  return found;
}

/// True for as long as the table's columns are these. It is looked at when the statement runs, which has locked the
/// table by then: PostgreSQL adapts a prepared statement to an altered table by itself, and takes bytes for a column
/// that has become text as the text of their digits. It costs some 30 µs for a batch, of 1 row as of 16 (pgbench).
std::string still_has(pqxx::work& tx, const table_columns& columns, const std::string& quoted) {
  std::string listed;
  for (const auto& one : columns) listed.append(listed.empty() ? "" : ",").append(one.name + " " + one.type);
  return "(SELECT string_agg(attname || ' ' || atttypid, ',' ORDER BY attnum)" + std::string(of_table) +
         tx.quote(quoted) + ")) = " + tx.quote(listed);
}

result<std::string> insert_statement(pqxx::work& tx, const table_columns& columns, const table_url& to) {
  std::string names;
  std::string values;
  for (const auto& [name, value] : inserted) {
    const auto into = std::ranges::find(columns, name, &table_receiver::column::name);
    if (into == columns.end())
      return fail(errc::invalid, "the table has no column " + std::string(name), "table " + to.quoted());
    const bool binary = name == "payload" && into->type_name == "bytea";
    names.append(names.empty() ? "\"" : ", \"").append(name).append("\"");
    values.append(values.empty() ? "(" : ", (").append(binary ? "r.b" : value).append(")::").append(into->type_name);
  }
  return "INSERT INTO " + to.quoted() + " (" + names + ") SELECT " + values +
         " FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bytea[]) "
         "WITH ORDINALITY AS r(s, p, m, k, h, b, o) WHERE " +
         still_has(tx, columns, to.quoted()) + " ORDER BY r.o";
}

/// A batch as the statement's parameters.
class batch_columns {
public:
  explicit batch_columns(std::span<const received> items) {
    for (const auto& one : items) {
      sequences_.add_number(one.item.seq.value());
      positions_.add_number(one.item.at.value());
      ids_.add(one.item.message->id());
      keys_.add(one.item.message->key());
      headers_.add(one.headers);
      payloads_.add(one.item.body->payload);
    }
  }

  /// How many rows were inserted.
  std::size_t insert(database& db, pqxx::work& tx, const std::string& statement) {
    return static_cast<std::size_t>(db.run(tx, statement.c_str(), binary(sequences_.bytes()),
                                           binary(positions_.bytes()), binary(ids_.bytes()), binary(keys_.bytes()),
                                           binary(headers_.bytes()), binary(payloads_.bytes()))
                                      .affected_rows());
  }

private:
  binary_array sequences_{binary_array::of::bigint};
  binary_array positions_{binary_array::of::bigint};
  binary_array ids_{binary_array::of::text};
  binary_array keys_{binary_array::of::text};
  binary_array headers_{binary_array::of::text};
  binary_array payloads_{binary_array::of::bytea};
};

} // namespace

table_receiver::table_receiver(table_url to, receiver_owner owner, duration timeout)
  : fenced_receiver(server_url(to.server), std::move(owner), timeout), to_(std::move(to)) {}

result<void> table_receiver::prepare(database& db, pqxx::work& tx) {
  auto columns = columns_of(tx, to_.quoted());
  if (columns.empty()) {
    wait_for_others(tx);
    tx.exec("CREATE TABLE IF NOT EXISTS " + to_.quoted() + " " + definition);
    columns = columns_of(tx, to_.quoted());
  }
  return adapt_to(std::move(columns), db, tx);
}

result<void> table_receiver::adapt_to(table_columns columns, database& db, pqxx::work& tx) {
  auto statement = insert_statement(tx, columns, to_);
  if (!statement) return tl::unexpected(std::move(statement.error()));
  db.forget(insert_.c_str());
  insert_ = std::move(*statement);
  columns_ = std::move(columns);
  return {};
}

std::optional<core::receiver_answer> table_receiver::take(database& db, pqxx::work& tx,
                                                          std::span<const received> items) {
  batch_columns values(items);
  for (int tries = 0; tries < 2; ++tries) {
    if (values.insert(db, tx, insert_) > 0) return std::nullopt;
    auto columns = columns_of(tx, to_.quoted());
    if (columns == columns_) return std::nullopt; // a trigger or a rule of the table's lets nothing through
    if (auto fits = adapt_to(std::move(columns), db, tx); !fits)
      return core::failing{fits.error().text(), std::nullopt};
  }
  return core::failing{"the table " + to_.quoted() + " is being altered", std::nullopt};
}

} // namespace reseq::store::postgres

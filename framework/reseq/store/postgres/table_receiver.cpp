#include "reseq/store/postgres/table_receiver.hpp"

#include <array>
#include <map>
#include <string_view>
#include <utility>

#include "reseq/store/postgres/binary_array.hpp"

namespace reseq::store::postgres {

namespace {

constexpr const char* columns = R"sql((
  sequence bigint PRIMARY KEY,
  position bigint NOT NULL,
  message_id text NOT NULL,
  key text,
  headers jsonb NOT NULL,
  payload bytea NOT NULL,
  delivered_at timestamptz NOT NULL
))sql";

/// A column, and its value in the rows `r` of the arrays.
struct column {
  std::string_view name;
  std::string_view value;
};
constexpr std::array<column, 7> inserted{{{"sequence", "r.s"},
                                          {"position", "r.p"},
                                          {"message_id", "r.m"},
                                          {"key", "nullif(r.k, '')"},
                                          {"headers", "r.h"},
                                          {"payload", "convert_from(r.b, 'UTF8')"},
                                          {"delivered_at", "now()"}}};

/// The types of a table's columns, by name. By the catalogues' rows: other sessions may just have created it. Without
/// their lengths: a cast to varchar(8) cuts off what is longer, where the insertion refuses it.
std::map<std::string, std::string> types_of(pqxx::work& tx, const std::string& quoted) {
  const auto rows = tx.exec("SELECT attname, format_type(atttypid, -1) FROM pg_catalog.pg_attribute WHERE "
                            "attrelid = to_regclass(" +
                            tx.quote(quoted) + ") AND attnum > 0 AND NOT attisdropped");
  std::map<std::string, std::string> types;
  for (const auto& row : rows) types.emplace(view_of(row[0]), view_of(row[1]));
  return types;
}

result<std::string> insert_statement(const std::map<std::string, std::string>& types, const table_url& to) {
  std::string names;
  std::string values;
  for (const auto& [name, value] : inserted) {
    const auto type = types.find(std::string(name));
    if (type == types.end())
      return fail(errc::invalid, "the table has no column " + std::string(name), "table " + to.quoted());
    const bool binary = name == "payload" && type->second == "bytea";
    names.append(names.empty() ? "\"" : ", \"").append(name).append("\"");
    values.append(values.empty() ? "(" : ", (").append(binary ? "r.b" : value).append(")::").append(type->second);
  }
  return "INSERT INTO " + to.quoted() + " (" + names + ") SELECT " + values +
         " FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bytea[]) "
         "WITH ORDINALITY AS r(s, p, m, k, h, b, o) ORDER BY r.o";
}

} // namespace

table_receiver::table_receiver(table_url to, receiver_owner owner, duration timeout)
  : fenced_receiver(server_url(to.server), std::move(owner), timeout), to_(std::move(to)) {}

result<void> table_receiver::prepare(database&, pqxx::work& tx) {
  auto types = types_of(tx, to_.quoted());
  if (types.empty()) {
    wait_for_others(tx);
    tx.exec("CREATE TABLE IF NOT EXISTS " + to_.quoted() + " " + columns);
    types = types_of(tx, to_.quoted());
  }
  auto statement = insert_statement(types, to_);
  if (!statement) return tl::unexpected(std::move(statement.error()));
  insert_ = std::move(*statement);
  return {};
}

std::optional<core::receiver_answer> table_receiver::take(database& db, pqxx::work& tx,
                                                          std::span<const received> items) {
  binary_array sequences(binary_array::of::bigint);
  binary_array positions(binary_array::of::bigint);
  binary_array ids(binary_array::of::text);
  binary_array keys(binary_array::of::text);
  binary_array headers(binary_array::of::text);
  binary_array payloads(binary_array::of::bytea);
  for (const auto& one : items) {
    sequences.add_number(one.item.seq.value());
    positions.add_number(one.item.at.value());
    ids.add(one.item.message->id());
    keys.add(one.item.message->key());
    headers.add(one.headers);
    payloads.add(one.item.body->payload);
  }
  db.run(tx, insert_.c_str(), binary(sequences.bytes()), binary(positions.bytes()), binary(ids.bytes()),
         binary(keys.bytes()), binary(headers.bytes()), binary(payloads.bytes()));
  return std::nullopt;
}

} // namespace reseq::store::postgres

#include "reseq/store/postgres/table_receiver.hpp"

#include <array>
#include <chrono>
#include <map>
#include <string_view>
#include <utility>

#include "reseq/store/postgres/binary_array.hpp"

namespace reseq::store::postgres {

namespace {

/// Any number that nobody else uses: "reseq", and one more than the journal's.
constexpr const char* wait_for_others = "SELECT pg_advisory_xact_lock(491328464242)";

constexpr const char* records = R"sql(
CREATE TABLE reseq.delivered (
  pipeline text NOT NULL,
  destination text NOT NULL,
  epoch bigint NOT NULL,         -- raised by each owner; whoever has an older one is refused
  last_sequence bigint NOT NULL, -- of what was delivered, 0: nothing was
  last_message text NOT NULL,
  PRIMARY KEY (pipeline, destination)
) WITH (fillfactor = 30)
)sql";

constexpr const char* columns = R"sql((
  sequence bigint PRIMARY KEY,
  position bigint NOT NULL,
  message_id text NOT NULL,
  key text,
  headers jsonb NOT NULL,
  payload bytea NOT NULL,
  delivered_at timestamptz NOT NULL
))sql";

constexpr const char* announce =
  "INSERT INTO reseq.delivered AS d VALUES ($1, $2, $3::text::bigint, 0, '') ON CONFLICT (pipeline, destination) "
  "DO UPDATE SET epoch = excluded.epoch WHERE d.epoch < excluded.epoch";
constexpr const char* lock = "SELECT epoch, last_sequence, last_message FROM reseq.delivered WHERE pipeline = $1 AND "
                             "destination = $2 FOR UPDATE";
constexpr const char* advance = "UPDATE reseq.delivered SET epoch = $3::text::bigint, last_sequence = "
                                "$4::text::bigint, last_message = $5 WHERE pipeline = $1 AND destination = $2";

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

/// The types of a table's columns, by name. By the catalogues' rows: other sessions may just have created it.
std::map<std::string, std::string> types_of(pqxx::work& tx, const std::string& quoted) {
  const auto rows = tx.exec("SELECT attname, format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute WHERE "
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

bool refuses_data(const std::string& state) {
  return state.starts_with("22") || state.starts_with("23") || state.starts_with("44");
}

/// Without what follows the first line, which quotes the row.
std::string first_line(std::string_view said) { return std::string(said.substr(0, said.find('\n'))); }

} // namespace

table_receiver::table_receiver(table_url to, receiver_owner owner, duration timeout)
  : to_(std::move(to)), server_(to_.server), owner_(std::move(owner)), timeout_(timeout) {}

void table_receiver::open() { static_cast<void>(connect()); }

core::receiver_answer table_receiver::deliver(std::span<const received> items) {
  std::optional<core::receiver_answer> instead;
  auto written = write(items, instead);
  if (!written && written.error().code == errc::in_doubt) written = write(items, instead);
  if (written) return core::confirmed{};
  return instead ? std::move(*instead) : core::failing{written.error().text(), std::nullopt};
}

result<void> table_receiver::connect() {
  if (db_ && !db_->broken()) return {};
  db_.reset();
  auto made = database::connect(server_, session_for::receiver);
  if (!made) return tl::unexpected(std::move(made.error()));
  auto fits = (*made)->transact([this](pqxx::work& tx) { return prepare(tx); });
  if (fits)
    fits = (*made)->transact([&](pqxx::work& tx) -> result<void> {
      (*made)->run(tx, announce, owner_.pipeline, owner_.destination, std::to_string(owner_.owner.value()));
      return {};
    });
  if (fits) db_ = std::move(*made);
  return fits;
}

result<void> table_receiver::prepare(pqxx::work& tx) {
  const auto bound = std::chrono::ceil<std::chrono::milliseconds>(timeout_).count();
  tx.exec("SET statement_timeout = " + std::to_string(bound));
  auto types = types_of(tx, to_.quoted());
  const auto record = types_of(tx, "reseq.delivered");
  if (types.empty() || record.empty()) tx.exec(wait_for_others);
  if (record.empty() && types_of(tx, "reseq.delivered").empty()) {
    const auto schema = tx.exec("SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'reseq'");
    if (schema.empty()) tx.exec("CREATE SCHEMA reseq");
    tx.exec(records);
  }
  if (types.empty()) {
    tx.exec("CREATE TABLE IF NOT EXISTS " + to_.quoted() + " " + columns);
    types = types_of(tx, to_.quoted());
  }
  auto statement = insert_statement(types, to_);
  if (!statement) return tl::unexpected(std::move(statement.error()));
  insert_ = std::move(*statement);
  return {};
}

result<void> table_receiver::write(std::span<const received> items, std::optional<core::receiver_answer>& instead) {
  if (auto connected = connect(); !connected) return connected;
  auto written = db_->transact([&](pqxx::work& tx) -> result<void> {
    const auto rows = db_->run(tx, lock, owner_.pipeline, owner_.destination);
    if (rows.empty()) return fail(errc::conflict, "the destination's row was deleted", "reseq.delivered");
    const receiver_record known{epoch{rows[0][0].as<std::uint64_t>()}, sequence{rows[0][1].as<std::uint64_t>()},
                                std::string(view_of(rows[0][2]))};
    const auto there = already_received(known, items, owner_);
    if (!there) {
      instead = there.error();
      return fail(errc::conflict, "nothing may be written");
    }
    if (*there == items.size()) return {};
    try {
      insert(tx, items.subspan(*there));
      tx.exec("SET CONSTRAINTS ALL IMMEDIATE"); // what is refused must be told from what fails, before the commit
    } catch (const pqxx::sql_error& e) {
      if (!refuses_data(e.sqlstate())) throw;
      instead = core::refused{server_.without_secrets(first_line(e.what())) + " (" + e.sqlstate() + ")"};
      return fail(errc::unprocessable, "a row was refused");
    }
    const auto& newest = items.back().item;
    db_->run(tx, advance, owner_.pipeline, owner_.destination, std::to_string(owner_.owner.value()),
             std::to_string(newest.seq.value()), newest.message->id());
    return {};
  });
  // Whatever it was may have to do with what was found out when it connected.
  if (!written && !(instead && std::holds_alternative<core::refused>(*instead))) db_.reset();
  return written;
}

void table_receiver::insert(pqxx::work& tx, std::span<const received> items) {
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
  db_->run(tx, insert_.c_str(), binary(sequences.bytes()), binary(positions.bytes()), binary(ids.bytes()),
           binary(keys.bytes()), binary(headers.bytes()), binary(payloads.bytes()));
}

} // namespace reseq::store::postgres

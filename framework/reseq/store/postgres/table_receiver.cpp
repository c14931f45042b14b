#include "reseq/store/postgres/table_receiver.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>
#include <utility>

#include "reseq/store/postgres/binary_array.hpp"

namespace reseq::store::postgres {

/// As the catalogue has it.
struct table_column {
  std::string name;
  std::string type;      ///< its OID
  std::string base_name; ///< what is below all domains, as it stands in statements
  bool bytes = false;    ///< that is bytea
};

namespace {

constexpr const char* new_table = R"sql((
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

using table_columns = std::vector<table_column>;

constexpr std::string_view of_table = " FROM pg_catalog.pg_attribute WHERE attnum > 0 AND NOT attisdropped AND "
                                      "attrelid = to_regclass(";

/// The type that a column's is a domain over, however many of them there are, or its own.
constexpr std::string_view base =
  "(WITH RECURSIVE level(id, below) AS (SELECT oid, typbasetype FROM pg_catalog.pg_type "
  "WHERE oid = atttypid UNION ALL SELECT t.oid, t.typbasetype FROM level JOIN "
  "pg_catalog.pg_type t ON t.oid = below) SELECT id FROM level WHERE below = 0)";

/// By the catalogues' rows: other sessions may just have created it. Without their lengths, and domains as what is
/// below them: a cast to varchar(8) cuts off what is longer, where the insertion refuses it.
table_columns columns_of(pqxx::work& tx, const std::string& quoted) {
  const auto bytea = std::to_string(static_cast<std::uint32_t>(binary_array::of::bytea));
  table_columns found;
  for (const auto& row :
       tx.exec("SELECT attname, atttypid, format_type(base, -1), base FROM (SELECT *, " + std::string(base) +
               " AS base" + std::string(of_table) + literal(tx, quoted) + ")) AS listed ORDER BY attnum"))
    found.push_back({std::string(view_of(row[0])), std::string(view_of(row[1])), std::string(view_of(row[2])),
                     view_of(row[3]) == bytea});
  return found;
}

/// What a statement goes by: names and types.
std::string listed(const table_columns& columns) {
  std::string list;
  for (const auto& one : columns) list.append(list.empty() ? "" : ",").append(one.name + " " + one.type);
  return list;
}

/// True for as long as the table's columns are these. It is looked at when the statement runs, which has locked the
/// table by then: PostgreSQL adapts a prepared statement to an altered table by itself, and takes bytes for a column
/// that has become text as the text of their digits. It costs some 30 µs for a batch, of 1 row as of 16 (pgbench).
std::string still_has(pqxx::work& tx, const table_columns& columns, const std::string& quoted) {
  return "(SELECT string_agg(attname || ' ' || atttypid, ',' ORDER BY attnum)" + std::string(of_table) +
         literal(tx, quoted) + ")) = " + literal(tx, listed(columns));
}

result<std::string> insert_statement(pqxx::work& tx, const table_columns& columns, const table_url& to) {
  std::string names;
  std::string values;
  for (const auto& [name, value] : inserted) {
    const auto into = std::ranges::find(columns, name, &table_column::name);
    if (into == columns.end())
      return fail(errc::invalid, "the table has no column " + std::string(name), "table " + to.quoted());
    const bool binary = name == "payload" && into->bytes;
    names.append(names.empty() ? "\"" : ", \"").append(name).append("\"");
    values.append(values.empty() ? "(" : ", (").append(binary ? "r.b" : value).append(")::").append(into->base_name);
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

bool may_read(pqxx::work& tx, const std::string& quoted) {
  const auto table = "to_regclass(" + literal(tx, quoted) + ")";
  const auto may = tx.exec("SELECT has_column_privilege(" + table +
                           ", 'sequence', 'SELECT') AND has_column_privilege(" + table + ", 'message_id', 'SELECT')");
  return !may[0][0].is_null() && may[0][0].as<bool>();
}

/// Whether a rule of the table's, or of the view's, says what an insertion is.
bool has_rule(pqxx::work& tx, const std::string& quoted) {
  return !tx.exec("SELECT FROM pg_catalog.pg_rewrite WHERE ev_type = '3' AND ev_class = to_regclass(" +
                  literal(tx, quoted) + ")")
            .empty();
}

/// Of how many of `items` there is a row, in the table or in one that inherits from it.
std::size_t rows_of(pqxx::work& tx, std::span<const received> items, const std::string& quoted) {
  std::string which;
  for (const auto& one : items)
    which += (which.empty() ? "" : " OR ") + std::string("sequence = '") + std::to_string(one.item.seq.value()) + "'";
  return tx.exec("SELECT count(DISTINCT sequence) FROM " + quoted + " WHERE " + which)[0][0].as<std::size_t>();
}

/// The first row under a sequence of `items` that has another id, and this one. The columns may be of any type that
/// takes what was inserted: the server compares, and says it as text.
std::optional<std::pair<sequence, std::string>> other_row(pqxx::work& tx, std::span<const received> items,
                                                          const std::string& quoted) {
  std::string other;
  for (const auto& [item, headers] : items)
    other += (other.empty() ? "" : " OR ") + std::string("(sequence = '") + std::to_string(item.seq.value()) +
             "' AND message_id <> " + literal(tx, item.message->id()) + ")";
  const auto rows =
    tx.exec("SELECT sequence::text::bigint, message_id::text FROM " + quoted + " WHERE " + other + " LIMIT 1");
  if (rows.empty()) return std::nullopt;
  return std::pair{sequence{rows[0][0].as<std::uint64_t>()}, std::string(view_of(rows[0][1]))};
}

} // namespace

table_receiver::table_receiver(table_url to, receiver_owner owner, duration timeout, listener tell)
  : fenced_receiver(server_url(to.server), std::move(owner), timeout, std::move(tell)), to_(std::move(to)) {}

result<void> table_receiver::prepare(database& db, pqxx::work& tx) {
  looked_ = false;
  auto columns = columns_of(tx, to_.quoted());
  if (auto right = check_place(tx, !columns.empty()); !right) return right;
  if (columns.empty()) {
    wait_for_others(tx);
    columns = columns_of(tx, to_.quoted());
  }
  if (columns.empty()) {
    tx.exec("CREATE TABLE IF NOT EXISTS " + to_.quoted() + " " + new_table);
    columns = columns_of(tx, to_.quoted());
    tell("made the table " + to_.schema + "." + to_.table + ", which was not there");
  }
  return adapt_to(columns, db, tx);
}

/// Whoever names no schema means what psql shows, which may be another table than the one in public.
result<void> table_receiver::check_place(pqxx::work& tx, bool is_there) const {
  if (to_.names_schema) return {};
  const auto rows = tx.exec("SELECT nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = "
                            "c.relnamespace WHERE c.oid = to_regclass(" +
                            literal(tx, "\"" + to_.table + "\"") + ") AND nspname <> 'public'");
  if (rows.empty()) return {};
  const auto other = std::string(view_of(rows[0][0])) + "." + to_.table;
  const auto leads = "the role's search_path leads to " + other + ": write table=" + other +
                     " if that is meant, else " + "table=public." + to_.table;
  if (!is_there)
    return fail(errc::invalid,
                "table=" + to_.table + " means public." + to_.table + ", which is not there, and " + leads,
                "the destination's url");
  tell("table=" + to_.table + " is public." + to_.table + ", and " + leads);
  return {};
}

result<void> table_receiver::adapt_to(const table_columns& columns, database& db, pqxx::work& tx) {
  auto statement = insert_statement(tx, columns, to_);
  if (!statement) return tl::unexpected(std::move(statement.error()));
  db.forget(insert_.c_str());
  insert_ = std::move(*statement);
  columns_ = listed(columns);
  return {};
}

std::optional<core::receiver_answer> table_receiver::take(database& db, pqxx::work& tx,
                                                          std::span<const received> items) {
  batch_columns values(items);
  for (int tries = 0; tries < 2; ++tries) {
    const auto rows = values.insert(db, tx, insert_);
    if (rows > 0) return look_at_rows(tx, items, rows);
    const auto columns = columns_of(tx, to_.quoted());
    if (listed(columns) == columns_) return look_at_rows(tx, items, rows);
    if (auto fits = adapt_to(columns, db, tx); !fits) return core::failing{fits.error().text(), std::nullopt};
  }
  return core::failing{"the table " + to_.quoted() + " is being altered", std::nullopt};
}

/// What is wrong with rows that were just inserted, `rows` of them.
std::optional<core::receiver_answer> table_receiver::look_at_rows(pqxx::work& tx, std::span<const received> items,
                                                                  std::size_t rows) {
  const bool all = rows == items.size();
  if (all && looked_) return std::nullopt;
  const bool readable = may_read(tx, to_.quoted());
  if (!all && !has_rule(tx, to_.quoted()) && (!readable || rows_of(tx, items, to_.quoted()) < items.size()))
    return core::refused{"a trigger of the table " + to_.quoted() + " lets no row in (it returns NULL)"};
  if (const auto changed = readable ? other_row(tx, items, to_.quoted()) : std::nullopt)
    return core::failing{"a trigger of the table " + to_.quoted() + " changes message_id (of sequence " +
                           std::to_string(changed->first.value()) + " it is " + changed->second +
                           "), and no message could be found again: let it leave that as it is",
                         std::nullopt};
  looked_ = true;
  return std::nullopt;
}

core::receiver_answer table_receiver::answer_to(database& db, const server_message& refusal) {
  if (refusal.state != "23502" || std::ranges::find(inserted, refusal.column, &filled::name) != inserted.end())
    return fenced_receiver::answer_to(db, refusal);
  const auto empty = leaves_empty(db, refusal.column);
  if (!empty) return core::failing{empty.error().text(), std::nullopt};
  if (!*empty) return fenced_receiver::answer_to(db, refusal);
  return core::failing{"the column " + refusal.column + " of the table " + to_.quoted() +
                         " must not be null, and needs a default: " + in_a_line(refusal),
                       std::nullopt};
}

/// The role may be one that only inserts.
position table_receiver::position_of(database& db, sequence received) {
  const auto found = db.transact([&](pqxx::work& tx) -> result<position> {
    const auto rows = tx.exec("SELECT position::text::bigint FROM " + to_.quoted() +
                              " WHERE sequence::text::bigint = " + std::to_string(received.value()));
    return rows.empty() || rows[0][0].is_null() ? position{} : position{rows[0][0].as<std::uint64_t>()};
  });
  return found.value_or(position{});
}

/// Where the sequence is no number for the server, an index on it does not help.
receiver_record table_receiver::newest(pqxx::work& tx) {
  if (!may_read(tx, to_.quoted())) return {};
  const auto is_number = tx.exec("SELECT" + std::string(of_table) + literal(tx, to_.quoted()) +
                                 ") AND attname = 'sequence' AND 'N' = (SELECT typcategory FROM pg_catalog.pg_type "
                                 "WHERE oid = atttypid)");
  const auto order = is_number.empty() ? "sequence::text::bigint" : "sequence";
  const auto rows = tx.exec("SELECT sequence::text::bigint, message_id::text FROM " + to_.quoted() +
                            " WHERE sequence IS NOT NULL ORDER BY " + order + " DESC LIMIT 1");
  if (rows.empty()) return {};
  return {{}, sequence{rows[0][0].as<std::uint64_t>()}, rows[0][1].is_null() ? "" : std::string(view_of(rows[0][1]))};
}

std::optional<core::receiver_answer> table_receiver::find_other(database& db, std::span<const received> items) {
  using row = std::optional<std::pair<sequence, std::string>>;
  const auto found =
    db.transact([&](pqxx::work& tx) -> result<row> { return other_row(tx, items, to_.quoted()); }).value_or(row{});
  if (!found) return std::nullopt;
  const auto which = std::ranges::find_if(items, [&](const received& one) { return one.item.seq == found->first; });
  return which == items.end() ? std::nullopt : std::optional(other_history(which->item, found->second));
}

/// Whether nothing gives `column`, which is none of ours, a value. (A default or a trigger may make null of a message.)
result<bool> table_receiver::leaves_empty(database& db, const std::string& column) {
  return db.transact([&](pqxx::work& tx) -> result<bool> {
    return !tx.exec("SELECT" + std::string(of_table) + literal(tx, to_.quoted()) +
                    ") AND attname = " + literal(tx, column) +
                    " AND NOT atthasdef AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = attrelid AND "
                    "tgenabled <> 'D' AND tgtype & 7 = 7 /* before a row's insertion */)")
              .empty();
  });
}

} // namespace reseq::store::postgres

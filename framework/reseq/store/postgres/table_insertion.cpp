#include "reseq/store/postgres/table_insertion.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace reseq::store::postgres {

namespace {

using way = table_insertion::way;

/// A column, and its value in the rows `r` of the arrays.
struct filled {
  std::string_view name;
  std::string_view value;
};
constexpr std::array<filled, 7> all_filled{{{"sequence", "r.s"},
                                            {"position", "r.p"},
                                            {"message_id", "r.m"},
                                            {"key", "nullif(r.k, '')"},
                                            {"headers", "r.h"},
                                            {"payload", "convert_from(r.b, 'UTF8')"},
                                            {"delivered_at", "now()"}}};

/// The type that a column's is a domain over, however many of them there are, or its own.
constexpr std::string_view base =
  "(WITH RECURSIVE level(id, below) AS (SELECT oid, typbasetype FROM pg_catalog.pg_type "
  "WHERE oid = atttypid UNION ALL SELECT t.oid, t.typbasetype FROM level JOIN "
  "pg_catalog.pg_type t ON t.oid = below) SELECT id FROM level WHERE below = 0)";

constexpr std::string_view sent = "unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bytea[]) "
                                  "WITH ORDINALITY AS r(s, p, m, k, h, b, o)";

/// No trigger (one that was dropped counts until the table is vacuumed), rule, partition or server in between.
constexpr std::string_view is_bare = "relkind = 'r' AND NOT relhastriggers AND NOT relhasrules";

/// What a statement goes by: names and types.
std::string listed(const table_columns& columns) {
  std::string list;
  for (const auto& one : columns) list.append(list.empty() ? "" : ",").append(one.name + " " + one.type);
  return list;
}

/// True for as long as the table's columns are these. It is looked at when the statement runs, which has locked the
/// table by then: PostgreSQL adapts a prepared statement to an altered table by itself, and takes bytes for a column
/// that has become text as the text of their digits. It costs some 30 µs for a batch, of 1 row as of 16 (pgbench).
std::string still_has(pqxx::work& tx, const std::string& columns, const std::string& quoted) {
  return "(SELECT string_agg(attname || ' ' || atttypid, ',' ORDER BY attnum)" + std::string(of_table) +
         tx.quote(quoted) + ")) = " + tx.quote(columns);
}

/// Likewise, as long as nothing but the table itself takes the rows.
std::string still_bare(pqxx::work& tx, const std::string& quoted) {
  return "(SELECT " + std::string(is_bare) + " FROM pg_catalog.pg_class WHERE oid = to_regclass(" + tx.quote(quoted) +
         "))";
}

/// All but the columns and the statement.
table_insertion look_at_table(pqxx::work& tx, const std::string& quoted) {
  table_insertion into;
  const auto found = tx.exec(
    "SELECT has_column_privilege(oid, 'sequence', 'SELECT') AND has_column_privilege(oid, 'message_id', 'SELECT'), "
    "EXISTS (SELECT FROM pg_catalog.pg_rewrite WHERE ev_type = '3' AND ev_class = c.oid), " +
    std::string(is_bare) +
    ", CASE relkind WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view' WHEN 'f' THEN 'foreign table' ELSE 'table' "
    "END FROM pg_catalog.pg_class c WHERE oid = to_regclass(" +
    tx.quote(quoted) + ")");
  if (found.empty()) return into;
  into.readable = found[0][0].as<bool>();
  const bool has_rule = found[0][1].as<bool>();
  if (found[0][2].as<bool>())
    into.how = way::bare;
  else if (into.readable && !has_rule)
    into.how = way::compared;
  into.kind = view_of(found[0][3]);
  return into;
}

const table_column& column(const table_columns& columns, std::string_view name) {
  return *std::ranges::find(columns, name, &table_column::name);
}

/// Several rows may have become one another's likes: what is not sent is there more often than it was sent.
std::string compared(const std::string& insertion, const std::string& where, const table_columns& columns) {
  return "WITH r AS (SELECT * FROM " + std::string(sent) + " WHERE " + where + "), put AS (" + insertion +
         " FROM r ORDER BY r.o RETURNING sequence, message_id), other AS (SELECT sequence, message_id FROM put EXCEPT "
         "ALL SELECT r.s::" +
         column(columns, "sequence").base_name + ", r.m::" + column(columns, "message_id").base_name +
         " FROM r) SELECT (SELECT count(*) FROM put), other.* FROM (VALUES (1)) AS one LEFT JOIN (SELECT true, "
         "sequence::text, message_id::text FROM other) AS other ON true LIMIT 1";
}

} // namespace

table_columns columns_of(pqxx::work& tx, const std::string& quoted) {
  const auto bytea = std::to_string(static_cast<std::uint32_t>(binary_array::of::bytea));
  table_columns found;
  for (const auto& row :
       tx.exec("SELECT attname, atttypid, format_type(base, -1), base FROM (SELECT *, " + std::string(base) +
               " AS base" + std::string(of_table) + tx.quote(quoted) + ")) AS listed ORDER BY attnum"))
    found.push_back({std::string(view_of(row[0])), std::string(view_of(row[1])), std::string(view_of(row[2])),
                     view_of(row[3]) == bytea});
  return found;
}

bool is_filled(std::string_view column) {
  return std::ranges::find(all_filled, column, &filled::name) != all_filled.end();
}

std::string filled_columns() {
  std::string list;
  for (const auto& [name, value] : all_filled) list.append(list.empty() ? "'" : ", '").append(name).append("'");
  return list;
}

result<table_insertion> insertion_into(pqxx::work& tx, const table_columns& columns, const table_url& to) {
  std::string names;
  std::string values;
  for (const auto& [name, value] : all_filled) {
    const auto into = std::ranges::find(columns, name, &table_column::name);
    if (into == columns.end())
      return fail(errc::invalid, "the table has no column " + std::string(name), "table " + to.quoted());
    const bool binary = name == "payload" && into->bytes;
    names.append(names.empty() ? "\"" : ", \"").append(name).append("\"");
    values.append(values.empty() ? "(" : ", (").append(binary ? "r.b" : value).append(")::").append(into->base_name);
  }
  auto into = look_at_table(tx, to.quoted());
  into.columns = listed(columns);
  auto where = still_has(tx, into.columns, to.quoted());
  if (into.how == way::bare) where += " AND " + still_bare(tx, to.quoted());
  const auto insertion = "INSERT INTO " + to.quoted() + " (" + names + ") SELECT " + values;
  into.statement = into.how == way::compared
                     ? compared(insertion, where, columns)
                     : insertion + " FROM " + std::string(sent) + " WHERE " + where + " ORDER BY r.o";
  return into;
}

bool is_current(pqxx::work& tx, const table_insertion& made, const table_columns& columns, const table_url& to) {
  return listed(columns) == made.columns && look_at_table(tx, to.quoted()).how == made.how;
}

batch_columns::batch_columns(std::span<const received> items) {
  for (const auto& one : items) {
    sequences_.add_number(one.item.seq.value());
    positions_.add_number(one.item.at.value());
    ids_.add(one.item.message->id());
    keys_.add(one.item.message->key());
    headers_.add(one.headers);
    payloads_.add(one.item.body->payload);
  }
}

inserted_rows batch_columns::insert(database& db, pqxx::work& tx, const table_insertion& into) {
  const auto done =
    db.run(tx, into.statement.c_str(), binary(sequences_.bytes()), binary(positions_.bytes()), binary(ids_.bytes()),
           binary(keys_.bytes()), binary(headers_.bytes()), binary(payloads_.bytes()));
  if (into.how != way::compared) return {static_cast<std::size_t>(done.affected_rows()), std::nullopt};
  const auto text = [&](int column) {
    return done[0][column].is_null() ? std::string("null") : std::string(view_of(done[0][column]));
  };
  inserted_rows rows{done[0][0].as<std::size_t>(), std::nullopt};
  if (!done[0][1].is_null()) rows.changed = {text(2), text(3)};
  return rows;
}

} // namespace reseq::store::postgres

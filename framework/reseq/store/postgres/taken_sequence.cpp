#include "reseq/store/postgres/taken_sequence.hpp"

#include <string_view>

namespace reseq::store::postgres {

namespace {

constexpr const char* unique_violation = "23505";

bool is_by_sequence(database& db, const server_message& refusal, const std::string& table) {
  const auto found = db.transact([&](pqxx::work& tx) -> result<bool> {
    const auto to = "to_regclass(" + tx.quote(table) + ")";
    return !tx.exec("SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = indexrelid "
                    "JOIN pg_catalog.pg_class t ON t.oid = indrelid "
                    "JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace "
                    "JOIN pg_catalog.pg_attribute ON attrelid = indrelid AND attnum = indkey[0] "
                    "WHERE indisunique AND indnkeyatts = 1 AND attname = 'sequence' AND nspname = " +
                    tx.quote(refusal.schema) + " AND t.relname = " + tx.quote(refusal.table) +
                    " AND x.relname = " + tx.quote(refusal.constraint) + " AND (t.oid = " + to + " OR " + to +
                    " IN (SELECT relid FROM pg_partition_ancestors(t.oid)) OR EXISTS (SELECT FROM "
                    "pg_catalog.pg_class WHERE relkind = 'v' AND oid = " +
                    to + "))")
              .empty();
  });
  return found.value_or(false);
}

/// As the server tells whoever may read it; else empty.
std::string sequence_in(std::string_view text) {
  constexpr std::string_view before = "(sequence)=(";
  const auto at = text.find(before);
  if (at == std::string_view::npos) return {};
  const auto rest = text.substr(at + before.size());
  return std::string(rest.substr(0, rest.find_first_not_of("0123456789")));
}

std::string message_under(database& db, const std::string& sequence, const std::string& table) {
  const auto id = db.transact([&](pqxx::work& tx) -> result<std::string> {
    const auto rows = tx.exec("SELECT message_id::text FROM " + table + " WHERE sequence = '" + sequence + "' LIMIT 1");
    return rows.empty() ? std::string() : std::string(view_of(rows[0][0]));
  });
  return id.value_or("");
}

} // namespace

std::optional<std::string> explain_taken_sequence(database& db, const server_message& refusal,
                                                  const std::string& table) {
  if (refusal.state != unique_violation || !is_by_sequence(db, refusal, table)) return std::nullopt;
  const auto sequence = sequence_in(refusal.text);
  const auto id = sequence.empty() ? std::string() : message_under(db, sequence, table);
  return "the table " + table + " has " + (sequence.empty() ? "a sequence" : "sequence " + sequence) + " already" +
         (id.empty() ? "" : ", of message " + id) +
         ", and reseq.delivered does not say that this destination put it there: if another one fills the table, or "
         "this one did under another name, give this one a table of its own";
}

} // namespace reseq::store::postgres

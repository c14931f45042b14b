#include "reseq/store/postgres/table_receiver.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "reseq/store/postgres/table_insertion.hpp"
#include "reseq/store/postgres/taken_sequence.hpp"

namespace reseq::store::postgres {

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

/// Whether a rule of the table's, or of the view's, says what an insertion is.
bool has_rule(pqxx::work& tx, const std::string& quoted) {
  return !tx.exec("SELECT FROM pg_catalog.pg_rewrite WHERE ev_type = '3' AND ev_class = to_regclass(" +
                  tx.quote(quoted) + ")")
            .empty();
}

/// Of how many of `items` there is a row, in the table or in one that inherits from it.
std::size_t rows_of(database& db, pqxx::work& tx, std::span<const received> items, const std::string& quoted) {
  std::string which;
  for (const auto& one : items)
    which += (which.empty() ? "" : " OR ") + std::string("sequence = '") + std::to_string(one.item.seq.value()) + "'";
  return db.run_text(tx, "SELECT count(DISTINCT sequence) FROM " + quoted + " WHERE " + which)[0][0].as<std::size_t>();
}

/// The first row under a sequence of `items` that has another id, and this one. The columns may be of any type that
/// takes what was inserted: the server compares, and says it as text.
std::optional<std::pair<sequence, std::string>> other_row(database& db, pqxx::work& tx, std::span<const received> items,
                                                          const std::string& quoted) {
  std::string other;
  for (const auto& [item, headers] : items)
    other += (other.empty() ? "" : " OR ") + std::string("(sequence = '") + std::to_string(item.seq.value()) +
             "' AND message_id <> " + tx.quote(item.message->id()) + ")";
  const auto rows =
    db.run_text(tx, "SELECT sequence::text::bigint, message_id::text FROM " + quoted + " WHERE " + other + " LIMIT 1");
  if (rows.empty()) return std::nullopt;
  return std::pair{sequence{rows[0][0].as<std::uint64_t>()}, std::string(view_of(rows[0][1]))};
}

/// Who changes rows, as the beginning of a sentence.
std::string changer(const table_insertion& into, const std::string& quoted) {
  const auto table = into.kind + " " + quoted;
  if (into.kind == "view") return "the view " + quoted + ", or an INSTEAD OF INSERT trigger of it,";
  if (into.kind == "foreign table") return "a BEFORE INSERT trigger of the " + table + ", or what is behind it,";
  if (into.kind == "partitioned table") return "a BEFORE INSERT trigger of the " + table + ", or of a partition,";
  return "a BEFORE INSERT trigger of the " + table;
}

core::failing changes(const std::string& who, const std::string& what, const std::string& seen) {
  return {who + " changes " + what + " (" + seen + "), and no message could be found again: let it leave that as it is",
          std::nullopt};
}

core::failing changes(const std::string& who, const inserted_rows::changed_row& row, std::span<const received> items) {
  const auto by_id =
    std::ranges::find_if(items, [&](const received& one) { return one.item.message->id() == row.message_id; });
  const auto by_sequence =
    std::ranges::find_if(items, [&](const received& one) { return std::to_string(one.item.seq.value()) == row.seq; });
  if (by_id == by_sequence)
    return changes(who, "sequence and message_id",
                   "a row was not sent that has sequence " + row.seq + " and message_id " + row.message_id);
  if (by_id != items.end()) return changes(who, "sequence", "of message " + row.message_id + " it is " + row.seq);
  return changes(who, "message_id", "of sequence " + row.seq + " it is " + row.message_id);
}

} // namespace

table_receiver::table_receiver(table_url to, receiver_owner owner, duration timeout, listener tell, duration grace)
  : fenced_receiver(server_url(to.server), std::move(owner), timeout, std::move(tell), grace), to_(std::move(to)) {}

result<void> table_receiver::prepare(database& db, pqxx::work& tx) {
  auto columns = columns_of(tx, to_.quoted());
  if (auto right = check_place(tx, !columns.empty()); !right) return right;
  if (columns.empty()) {
    wait_for_other_makers(db, tx);
    columns = columns_of(tx, to_.quoted());
  }
  if (columns.empty()) {
    db.run_text(tx, "CREATE TABLE IF NOT EXISTS " + to_.quoted() + " " + new_table);
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
                            tx.quote("\"" + to_.table + "\"") + ") AND nspname <> 'public'");
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
  auto made = insertion_into(tx, columns, to_);
  if (!made) return tl::unexpected(std::move(made.error()));
  db.forget(insertion_.statement.c_str());
  insertion_ = std::move(*made);
  return {};
}

std::optional<core::receiver_answer> table_receiver::take(database& db, pqxx::work& tx,
                                                          std::span<const received> items) {
  batch_columns values(items);
  for (int tries = 0; tries < 2; ++tries) {
    const auto rows = values.insert(db, tx, insertion_);
    if (rows.changed) return changes(changer(insertion_, to_.quoted()), *rows.changed, items);
    if (rows.count > 0) return look_at_rows(db, tx, items, rows.count);
    const auto columns = columns_of(tx, to_.quoted());
    if (is_current(tx, insertion_, columns, to_)) return look_at_rows(db, tx, items, 0);
    if (auto fits = adapt_to(columns, db, tx); !fits) return core::failing{fits.error().text(), std::nullopt};
  }
  return core::failing{"the table " + to_.quoted() + " is being altered", std::nullopt};
}

/// What is wrong with rows that were just inserted, `rows` of them.
std::optional<core::receiver_answer> table_receiver::look_at_rows(database& db, pqxx::work& tx,
                                                                  std::span<const received> items, std::size_t rows) {
  const bool all = rows == items.size();
  const bool readable = insertion_.readable;
  if (all && (insertion_.how != table_insertion::way::unseen || !readable)) return std::nullopt;
  if (!all && !has_rule(tx, to_.quoted()) && (!readable || rows_of(db, tx, items, to_.quoted()) < items.size()))
    return core::refused{"a trigger of the table " + to_.quoted() + " lets no row in (it returns NULL)"};
  if (const auto changed = readable ? other_row(db, tx, items, to_.quoted()) : std::nullopt)
    return changes("a trigger of the table " + to_.quoted() + ", or a rule,", "message_id",
                   "of sequence " + std::to_string(changed->first.value()) + " it is " + changed->second);
  return std::nullopt;
}

core::receiver_answer table_receiver::answer_to(database& db, const server_message& refusal) {
  if (const auto taken = explain_taken_sequence(db, refusal, to_.quoted()))
    return core::failing{*taken + ": " + in_a_line(refusal), std::nullopt};
  if (refusal.state != "23502" || is_filled(refusal.column)) return fenced_receiver::answer_to(db, refusal);
  const auto empty = leaves_empty(db, refusal.column);
  if (!empty) return core::failing{empty.error().text(), std::nullopt};
  if (!*empty) return fenced_receiver::answer_to(db, refusal);
  return core::failing{"the column " + refusal.column + " of the table " + to_.quoted() +
                         " must not be null, and needs a default: " + in_a_line(refusal),
                       std::nullopt};
}

/// Whoever has the privileges, and is denied one, is denied a row.
std::optional<core::receiver_answer> table_receiver::find_policy(database& db, const server_message& denial) {
  const auto found = db.transact([&](pqxx::work& tx) -> result<std::string> {
    const auto rows =
      tx.exec("SELECT current_user FROM pg_catalog.pg_class WHERE oid = to_regclass(" + tx.quote(to_.quoted()) +
              ") AND row_security_active(oid) AND (SELECT bool_and(has_column_privilege(attrelid, attname, 'INSERT'))" +
              std::string(of_table) + tx.quote(to_.quoted()) + ") AND attname IN (" + filled_columns() + "))");
    return rows.empty() ? std::string{} : std::string(view_of(rows[0][0]));
  });
  if (!found || found->empty()) return std::nullopt;
  const bool compares = insertion_.how == table_insertion::way::compared;
  return core::failing{"the row security policies of the table " + to_.quoted() +
                         " (pg_class.relrowsecurity is set) apply to the role " + *found +
                         ", and do not let it insert " + (compares ? "this, or see what it has inserted" : "this") +
                         ": add a policy FOR INSERT" + (compares ? ", and one FOR SELECT," : "") +
                         " that does, or give the role BYPASSRLS; the server says: " + in_a_line(denial),
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
receiver_record table_receiver::newest(database& db, pqxx::work& tx) {
  if (!insertion_.readable) return {};
  const auto is_number = tx.exec("SELECT" + std::string(of_table) + tx.quote(to_.quoted()) +
                                 ") AND attname = 'sequence' AND 'N' = (SELECT typcategory FROM pg_catalog.pg_type "
                                 "WHERE oid = atttypid)");
  const auto order = is_number.empty() ? "sequence::text::bigint" : "sequence";
  const auto rows = db.run_text(tx, "SELECT sequence::text::bigint, message_id::text FROM " + to_.quoted() +
                                      " WHERE sequence IS NOT NULL ORDER BY " + order + " DESC LIMIT 1");
  if (rows.empty()) return {};
  return {{}, sequence{rows[0][0].as<std::uint64_t>()}, rows[0][1].is_null() ? "" : std::string(view_of(rows[0][1]))};
}

std::optional<core::receiver_answer> table_receiver::find_other(database& db, std::span<const received> items) {
  using row = std::optional<std::pair<sequence, std::string>>;
  const auto found =
    db.transact([&](pqxx::work& tx) -> result<row> { return other_row(db, tx, items, to_.quoted()); }).value_or(row{});
  if (!found) return std::nullopt;
  const auto which = std::ranges::find_if(items, [&](const received& one) { return one.item.seq == found->first; });
  return which == items.end() ? std::nullopt : std::optional(other_history(which->item, found->second));
}

/// Whether nothing gives `column`, which is none of ours, a value. (A default or a trigger may make null of a message.)
result<bool> table_receiver::leaves_empty(database& db, const std::string& column) {
  return db.transact([&](pqxx::work& tx) -> result<bool> {
    return !tx.exec("SELECT" + std::string(of_table) + tx.quote(to_.quoted()) + ") AND attname = " + tx.quote(column) +
                    " AND NOT atthasdef AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = attrelid AND "
                    "tgenabled <> 'D' AND tgtype & 7 = 7 /* before a row's insertion */)")
              .empty();
  });
}

} // namespace reseq::store::postgres

#include "reseq/store/postgres/fenced_receiver.hpp"

#include <chrono>
#include <string_view>
#include <utility>

#include "reseq/store/postgres/session_check.hpp"

namespace reseq::store::postgres {

namespace {

constexpr const char* records = R"sql(
CREATE TABLE reseq.delivered (
  pipeline text NOT NULL,
  destination text NOT NULL,
  epoch bigint NOT NULL,         -- raised by each owner; whoever has an older one is refused
  last_sequence bigint NOT NULL, -- of what was delivered, 0: nothing was
  last_message text NOT NULL,
  journal text NOT NULL DEFAULT '', -- whose record it is; empty: nobody knows
  written timestamptz,              -- last; null: nobody knows
  PRIMARY KEY (pipeline, destination)
) WITH (fillfactor = 30)
)sql";

/// Of a table that an older version made, whose rows are of nobody knows which journal.
constexpr const char* more_columns = "ALTER TABLE reseq.delivered ADD COLUMN IF NOT EXISTS journal text NOT NULL "
                                     "DEFAULT '', ADD COLUMN IF NOT EXISTS written timestamptz";

constexpr std::chrono::milliseconds idle_margin{10'000};

/// How long an owner before has for the end of its transaction, and how often somebody else has.
constexpr const char* short_wait = "SET LOCAL lock_timeout = '1s'";
constexpr int waits = 5;

struct records_table {
  bool is_there = false;
  bool has_journals = false; ///< it says whose a row is
  bool may_alter = false;
};

/// By the catalogues' rows: other sessions may just have created it.
records_table look_at_records(pqxx::work& tx) {
  const auto rows = tx.exec(
    "SELECT (SELECT count(*) FROM pg_catalog.pg_attribute WHERE attrelid = c.oid AND attname IN ('journal', "
    "'written') AND NOT attisdropped) = 2, pg_has_role(relowner, 'USAGE') FROM pg_catalog.pg_class c JOIN "
    "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'reseq' AND c.relname = 'delivered'");
  if (rows.empty()) return {};
  return {true, rows[0][0].as<bool>(), rows[0][1].as<bool>()};
}

/// Whether a statement does not fit a table that has been altered since it was made.
bool is_outdated(const std::string& state) { return state == "42804" || state == "42703"; }

/// Without what follows the first line, which quotes the row.
std::string first_line(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

} // namespace

struct fenced_receiver_statements {
  const char* announce; ///< pipeline, destination, epoch, journal, the last sequence that is its own
  const char* make;     ///< pipeline, destination, epoch, sequence, message, journal
  const char* look;     ///< pipeline, destination
  const char* lock;     ///< the same
  const char* advance;  ///< as `make`
};

namespace {

constexpr fenced_receiver_statements with_journals{
  "UPDATE reseq.delivered SET epoch = $3::text::bigint, journal = $4, written = now() WHERE pipeline = $1 AND "
  "destination = $2 AND (journal = $4 AND epoch < $3::text::bigint OR "
  "journal = '' AND epoch <= $3::text::bigint AND last_sequence IN (0, $5::text::bigint))",
  "INSERT INTO reseq.delivered (pipeline, destination, epoch, last_sequence, last_message, journal, written) VALUES "
  "($1, $2, $3::text::bigint, $4::text::bigint, $5, $6, now()) ON CONFLICT DO NOTHING",
  "SELECT epoch, last_sequence, last_message, pg_backend_pid(), journal, to_char(written, 'YYYY-MM-DD HH24:MI:SS "
  "\"UTC\"') "
  "FROM reseq.delivered WHERE pipeline = $1 AND destination = $2",
  "SELECT epoch, last_sequence, last_message, pg_backend_pid(), journal, to_char(written, 'YYYY-MM-DD HH24:MI:SS "
  "\"UTC\"') "
  "FROM reseq.delivered WHERE pipeline = $1 AND destination = $2 FOR UPDATE",
  "UPDATE reseq.delivered SET epoch = $3::text::bigint, last_sequence = $4::text::bigint, last_message = $5, "
  "journal = $6, written = now() WHERE pipeline = $1 AND destination = $2"};

/// For the same parameters.
constexpr fenced_receiver_statements without_journals{
  "UPDATE reseq.delivered SET epoch = $3::text::bigint WHERE pipeline = $1 AND destination = $2 AND "
  "epoch < $3::text::bigint AND $4::text || $5::text <> ''",
  "INSERT INTO reseq.delivered (pipeline, destination, epoch, last_sequence, last_message) SELECT $1, $2, "
  "$3::text::bigint, $4::text::bigint, $5 WHERE $6::text IS NOT NULL ON CONFLICT DO NOTHING",
  "SELECT epoch, last_sequence, last_message, pg_backend_pid(), '', NULL FROM reseq.delivered WHERE pipeline = $1 AND "
  "destination = $2",
  "SELECT epoch, last_sequence, last_message, pg_backend_pid(), '', NULL FROM reseq.delivered WHERE pipeline = $1 AND "
  "destination = $2 FOR UPDATE",
  "UPDATE reseq.delivered SET epoch = $3::text::bigint, last_sequence = $4::text::bigint, last_message = $5 WHERE "
  "pipeline = $1 AND destination = $2 AND $6::text IS NOT NULL"};

/// Ends the session that has the destination's row locked, if that is one of an earlier owner's. The row names the
/// transaction that has it, and that the process: a process that was recorded could be somebody else's by now.
constexpr const char* end_earlier_owner =
  "SELECT pg_terminate_backend(a.pid) FROM reseq.delivered d "
  "JOIN pg_catalog.pg_locks l ON l.locktype = 'transactionid' AND l.granted AND l.transactionid = d.xmax "
  "JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid AND a.datname = current_database() AND a.usename = session_user "
  "AND a.application_name = current_setting('application_name') "
  "WHERE d.pipeline = $1 AND d.destination = $2 AND d.epoch < $3::text::bigint AND a.pid <> pg_backend_pid()";

constexpr const char* take_record =
  "UPDATE reseq.delivered SET journal = $3, written = now() WHERE pipeline = $1 AND destination = $2";

} // namespace

void wait_for_other_makers(database& db, pqxx::work& tx) {
  // Any number that nobody else uses: "reseq", and one more than the journal's.
  db.run_text(tx, "SELECT pg_advisory_xact_lock(491328464242)");
}

fenced_receiver::fenced_receiver(server_url server, receiver_owner owner, duration timeout, listener tell,
                                 duration grace)
  : server_(std::move(server)), owner_(std::move(owner)), ours_(owner_.ours), timeout_(timeout), grace_(grace),
    tell_(std::move(tell)), use_(&with_journals) {}

result<receiver_record> fenced_receiver::open() {
  if (auto connected = connect(); !connected) return tl::unexpected(std::move(connected.error()));
  auto known = db_->transact([&](pqxx::work& tx) { return recorded(tx, use_->look); });
  if (!known)
    db_.reset();
  else if (known->last > owner_.assigned)
    known->last_position = position_of(*db_, known->last);
  return known;
}

result<receiver_record> fenced_receiver::take_over(sequence settled) {
  if (auto connected = connect(); !connected) return tl::unexpected(std::move(connected.error()));
  auto taken = db_->transact([&](pqxx::work& tx) -> result<void> {
    const auto known = recorded(tx, use_->lock);
    if (!known) return tl::unexpected(known.error());
    if (auto may = may_take_over(*known, owner_.assigned, settled); !may) return may;
    if (is_ours(*known)) return {};
    make_record(*db_, tx, epoch{}, *known); // where there is none
    if (use_ == &with_journals) db_->run(tx, take_record, owner_.pipeline, owner_.destination, owner_.journal);
    return {};
  });
  if (!taken) db_.reset();
  return taken ? open() : tl::unexpected(std::move(taken.error()));
}

core::receiver_answer fenced_receiver::deliver(std::span<const received> items) {
  std::optional<core::receiver_answer> instead;
  auto written = compare_and_write(items, instead);
  if (!written && (written.error().code == errc::in_doubt || outdated_)) written = compare_and_write(items, instead);
  if (written) {
    ours_ = items.back().item.seq;
    return core::confirmed{};
  }
  return instead ? std::move(*instead) : core::failing{written.error().text(), std::nullopt};
}

/// In a transaction of its own: one in which something cannot be read can write nothing any more.
result<void> fenced_receiver::compare_and_write(std::span<const received> items,
                                                std::optional<core::receiver_answer>& instead) {
  auto written = write(items, instead);
  if (written || to_compare_ == 0) return written;
  instead = find_other(*db_, items.first(to_compare_));
  if (instead) return written;
  compared_ = items[to_compare_ - 1].item.seq;
  return write(items, instead);
}

position fenced_receiver::position_of(database&, sequence) { return {}; }

std::optional<core::receiver_answer> fenced_receiver::find_policy(database&, const server_message&) {
  return std::nullopt;
}

receiver_record fenced_receiver::newest(database&, pqxx::work&) { return {}; }

std::optional<core::receiver_answer> fenced_receiver::find_other(database&, std::span<const received>) {
  return std::nullopt;
}

core::receiver_answer fenced_receiver::answer_to(database&, const server_message& refusal) {
  if (lacks_partition(refusal)) return core::failing{in_a_line(refusal), std::nullopt};
  return core::refused{in_a_line(refusal)};
}

std::string fenced_receiver::in_a_line(const server_message& said) const {
  return server_.without_secrets(first_line(said.text)) + " (" + said.state + ")";
}

result<void> fenced_receiver::connect() {
  if (db_ && !db_->broken()) return {};
  db_.reset();
  auto made = database::connect(server_, session_for::receiver, timeout_ + grace_);
  if (!made) return tl::unexpected(std::move(made.error()));
  auto& db = **made;
  auto fits =
    db.transact([&](pqxx::work& tx) { return prepare_records(db, tx).and_then([&] { return prepare(db, tx); }); });
  if (fits) fits = announce_in_time(db);
  if (fits) db_ = std::move(*made);
  return fits;
}

/// An owner before may be stopped in the middle of a transaction, and would keep the row for as long as one of its
/// statements may take, and longer.
result<void> fenced_receiver::announce_in_time(database& db) {
  for (int wait = 1;; ++wait) {
    auto announced = db.transact([&](pqxx::work& tx) -> result<void> {
      tx.exec(short_wait);
      announce(db, tx);
      return {};
    });
    if (announced || wait == waits || !is_lock_timeout(announced.error())) return announced;
    const auto ended = db.transact([&](pqxx::work& tx) -> result<bool> {
      return !db.run(tx, end_earlier_owner, owner_.pipeline, owner_.destination, std::to_string(owner_.owner.value()))
                .empty();
    });
    if (ended.value_or(false))
      tell("ended the session of an earlier owner, who was in the middle of a transaction and kept the row in "
           "reseq.delivered");
    if (db.broken()) return announced;
  }
}

/// Where there are messages that may be somebody else's, nothing is written.
void fenced_receiver::announce(database& db, pqxx::work& tx) {
  if (db.run(tx, use_->look, owner_.pipeline, owner_.destination).empty())
    if (const auto there = newest(db, tx); may_claim(there)) make_record(db, tx, owner_.owner, there);
  db.run(tx, use_->announce, owner_.pipeline, owner_.destination, std::to_string(owner_.owner.value()), owner_.journal,
         std::to_string(ours_.value()));
}

bool fenced_receiver::may_claim(const receiver_record& there) const {
  return there.last == sequence{} || there.last == ours_;
}

void fenced_receiver::make_record(database& db, pqxx::work& tx, epoch owner, const receiver_record& there) const {
  db.run(tx, use_->make, owner_.pipeline, owner_.destination, std::to_string(owner.value()),
         std::to_string(there.last.value()), there.last_message, owner_.journal);
}

result<void> fenced_receiver::prepare_records(database& db, pqxx::work& tx) {
  const auto bound = std::chrono::ceil<std::chrono::milliseconds>(timeout_).count();
  tx.exec("SET statement_timeout = " + std::to_string(bound));
  // What a function does between two statements may take as long as one of them.
  tx.exec("SET idle_in_transaction_session_timeout = " + std::to_string(bound + idle_margin.count()));
  session_ = tx.exec("SELECT pg_backend_pid()")[0][0].as<int>();
  use_ = &with_journals;
  if (look_at_records(tx).has_journals) return {};
  wait_for_other_makers(db, tx);
  const auto found = look_at_records(tx);
  if (!found.is_there) {
    const auto schema = tx.exec("SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'reseq'");
    if (schema.empty()) db.run_text(tx, "CREATE SCHEMA reseq");
    db.run_text(tx, records);
  } else if (!found.has_journals && found.may_alter) {
    db.run_text(tx, more_columns);
  } else if (!found.has_journals) {
    use_ = &without_journals;
    tell("reseq.delivered does not say whose journal a row is of, and the role may not alter it: another installation "
         "with the same names would not be noticed in time. Let its owner run: " +
         std::string(more_columns));
  }
  return {};
}

void fenced_receiver::tell(const std::string& news) const {
  if (tell_) tell_(news);
}

result<receiver_record> fenced_receiver::recorded(pqxx::work& tx, const char* query) {
  const auto rows = db_->run(tx, query, owner_.pipeline, owner_.destination);
  if (rows.empty()) return unrecorded(tx);
  if (rows[0][3].as<int>() != session_) return fail(errc::incompatible, not_sessions, "the destination's url");
  receiver_record known{epoch{rows[0][0].as<std::uint64_t>()}, sequence{rows[0][1].as<std::uint64_t>()},
                        std::string(view_of(rows[0][2]))};
  if (const auto whose = view_of(rows[0][4]); !whose.empty() && whose != owner_.journal) {
    known.foreign = whose;
    known.written = view_of(rows[0][5]);
  } else if (whose.empty() && use_ == &with_journals && known.last != sequence{}) {
    known.unclaimed =
      unclaimed(known.last, owner_, "its row in reseq.delivered",
                "UPDATE reseq.delivered SET journal = " + tx.quote(owner_.journal) + " WHERE " +
                  "pipeline = " + tx.quote(owner_.pipeline) + " AND destination = " + tx.quote(owner_.destination));
  }
  if (is_ours(known) && known.owner <= owner_.owner) ours_ = known.last;
  return known;
}

result<receiver_record> fenced_receiver::unrecorded(pqxx::work& tx) {
  auto there = newest(*db_, tx);
  if (may_claim(there)) return fail(errc::conflict, "the destination's row was deleted", "reseq.delivered");
  const bool says_whose = use_ == &with_journals;
  there.unclaimed = unclaimed(there.last, owner_, "reseq.delivered, which has no row of this destination,",
                              "INSERT INTO reseq.delivered (pipeline, destination, epoch, last_sequence, last_message" +
                                std::string(says_whose ? ", journal" : "") + ") VALUES (" + tx.quote(owner_.pipeline) +
                                ", " + tx.quote(owner_.destination) + ", " + std::to_string(owner_.owner.value()) +
                                ", " + std::to_string(there.last.value()) + ", " + tx.quote(there.last_message) +
                                (says_whose ? ", " + tx.quote(owner_.journal) : "") + ")");
  return there;
}

result<void> fenced_receiver::write(std::span<const received> items, std::optional<core::receiver_answer>& instead) {
  outdated_ = false;
  to_compare_ = 0;
  if (auto connected = connect(); !connected) return connected;
  std::optional<server_message> refusal;
  std::optional<server_message> denial;
  auto written = db_->transact([&](pqxx::work& tx) -> result<void> {
    if (use_ == &without_journals && look_at_records(tx).has_journals) {
      outdated_ = true;
      return fail(errc::conflict, "says whose journal a row is of, which it did not", "reseq.delivered");
    }
    const auto known = recorded(tx, use_->lock);
    if (!known) return tl::unexpected(known.error());
    const auto there = already_received(*known, items, owner_);
    if (!there) {
      instead = there.error();
      return fail(errc::conflict, "nothing may be written");
    }
    if (*there > 0 && items[*there - 1].item.seq > compared_) {
      to_compare_ = *there;
      return fail(errc::unprocessable, "what is there already is to be compared first");
    }
    if (*there == items.size()) return {};
    try {
      instead = take(*db_, tx, items.subspan(*there));
      // What is refused must be told from what fails, before the commit.
      if (!instead) db_->run_text(tx, "SET CONSTRAINTS ALL IMMEDIATE");
    } catch (const pqxx::sql_error& e) {
      auto said = read_message(e);
      outdated_ = is_outdated(said.state);
      if (said.state == "42501") denial = said;
      if (!refuses_data(said.state)) throw;
      refusal = std::move(said);
    }
    if (instead || refusal) return fail(errc::unprocessable, "a message was not taken");
    const auto& newest = items.back().item;
    db_->run(tx, use_->advance, owner_.pipeline, owner_.destination, std::to_string(owner_.owner.value()),
             std::to_string(newest.seq.value()), newest.message->id(), owner_.journal);
    return {};
  });
  if (refusal) instead = answer_to(*db_, *refusal);
  if (denial) instead = find_policy(*db_, *denial);
  // Whatever it was may have to do with what was found out when it connected.
  if (!written && written.error().code != errc::unprocessable) db_.reset();
  return written;
}

} // namespace reseq::store::postgres

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
  PRIMARY KEY (pipeline, destination)
) WITH (fillfactor = 30)
)sql";

constexpr const char* announce =
  "INSERT INTO reseq.delivered AS d VALUES ($1, $2, $3::text::bigint, 0, '') ON CONFLICT (pipeline, destination) "
  "DO UPDATE SET epoch = excluded.epoch WHERE d.epoch < excluded.epoch";
constexpr const char* look = "SELECT epoch, last_sequence, last_message, pg_backend_pid() FROM reseq.delivered WHERE "
                             "pipeline = $1 AND destination = $2";
constexpr const char* lock = "SELECT epoch, last_sequence, last_message, pg_backend_pid() FROM reseq.delivered WHERE "
                             "pipeline = $1 AND destination = $2 FOR UPDATE";
constexpr const char* advance = "UPDATE reseq.delivered SET epoch = $3::text::bigint, last_sequence = "
                                "$4::text::bigint, last_message = $5 WHERE pipeline = $1 AND destination = $2";

constexpr std::chrono::milliseconds idle_margin{10'000};

/// By the catalogues' rows: other sessions may just have created it.
bool has_records(pqxx::work& tx) {
  return !tx.exec("SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE "
                  "n.nspname = 'reseq' AND c.relname = 'delivered'")
            .empty();
}

/// Whether a statement does not fit a table that has been altered since it was made.
bool is_outdated(const std::string& state) { return state == "42804" || state == "42703"; }

/// Without what follows the first line, which quotes the row.
std::string first_line(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

} // namespace

void wait_for_others(pqxx::work& tx) {
  // Any number that nobody else uses: "reseq", and one more than the journal's.
  tx.exec("SELECT pg_advisory_xact_lock(491328464242)");
}

fenced_receiver::fenced_receiver(server_url server, receiver_owner owner, duration timeout)
  : server_(std::move(server)), owner_(std::move(owner)), timeout_(timeout) {}

result<receiver_record> fenced_receiver::open() {
  if (auto connected = connect(); !connected) return tl::unexpected(std::move(connected.error()));
  auto known = db_->transact([&](pqxx::work& tx) { return recorded(tx, look); });
  if (!known)
    db_.reset();
  else if (known->last > owner_.assigned)
    known->last_position = position_of(*db_, known->last);
  return known;
}

core::receiver_answer fenced_receiver::deliver(std::span<const received> items) {
  std::optional<core::receiver_answer> instead;
  auto written = compare_and_write(items, instead);
  if (!written && (written.error().code == errc::in_doubt || outdated_)) written = compare_and_write(items, instead);
  if (written) return core::confirmed{};
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
  auto made = database::connect(server_, session_for::receiver);
  if (!made) return tl::unexpected(std::move(made.error()));
  auto& db = **made;
  auto fits =
    db.transact([&](pqxx::work& tx) { return prepare_records(tx).and_then([&] { return prepare(db, tx); }); });
  if (fits)
    fits = db.transact([&](pqxx::work& tx) -> result<void> {
      db.run(tx, announce, owner_.pipeline, owner_.destination, std::to_string(owner_.owner.value()));
      return {};
    });
  if (fits) db_ = std::move(*made);
  return fits;
}

result<void> fenced_receiver::prepare_records(pqxx::work& tx) {
  const auto bound = std::chrono::ceil<std::chrono::milliseconds>(timeout_).count();
  tx.exec("SET statement_timeout = " + std::to_string(bound));
  // What a function does between two statements may take as long as one of them.
  tx.exec("SET idle_in_transaction_session_timeout = " + std::to_string(bound + idle_margin.count()));
  session_ = tx.exec("SELECT pg_backend_pid()")[0][0].as<int>();
  if (has_records(tx)) return {};
  wait_for_others(tx);
  if (has_records(tx)) return {};
  const auto schema = tx.exec("SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'reseq'");
  if (schema.empty()) tx.exec("CREATE SCHEMA reseq");
  tx.exec(records);
  return {};
}

result<receiver_record> fenced_receiver::recorded(pqxx::work& tx, const char* query) {
  const auto rows = db_->run(tx, query, owner_.pipeline, owner_.destination);
  if (rows.empty()) return fail(errc::conflict, "the destination's row was deleted", "reseq.delivered");
  if (rows[0][3].as<int>() != session_) return fail(errc::incompatible, not_sessions, "the destination's url");
  return receiver_record{epoch{rows[0][0].as<std::uint64_t>()}, sequence{rows[0][1].as<std::uint64_t>()},
                         std::string(view_of(rows[0][2]))};
}

result<void> fenced_receiver::write(std::span<const received> items, std::optional<core::receiver_answer>& instead) {
  outdated_ = false;
  to_compare_ = 0;
  if (auto connected = connect(); !connected) return connected;
  std::optional<server_message> refusal;
  auto written = db_->transact([&](pqxx::work& tx) -> result<void> {
    const auto known = recorded(tx, lock);
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
      if (!instead) tx.exec("SET CONSTRAINTS ALL IMMEDIATE");
    } catch (const pqxx::sql_error& e) {
      auto said = read_message(e);
      outdated_ = is_outdated(said.state);
      if (!refuses_data(said.state)) throw;
      refusal = std::move(said);
    }
    if (instead || refusal) return fail(errc::unprocessable, "a message was not taken");
    const auto& newest = items.back().item;
    db_->run(tx, advance, owner_.pipeline, owner_.destination, std::to_string(owner_.owner.value()),
             std::to_string(newest.seq.value()), newest.message->id());
    return {};
  });
  if (refusal) instead = answer_to(*db_, *refusal);
  // Whatever it was may have to do with what was found out when it connected.
  if (!written && written.error().code != errc::unprocessable) db_.reset();
  return written;
}

} // namespace reseq::store::postgres

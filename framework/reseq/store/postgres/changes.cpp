#include "reseq/store/postgres/changes.hpp"

#include <string>

#include "reseq/store/codec.hpp"
#include "reseq/store/postgres/binary_array.hpp"
#include "reseq/store/postgres/readable.hpp"

namespace reseq::store::postgres {

namespace {

constexpr const char* save_progress =
  "INSERT INTO reseq.progress SELECT $1::integer, p.destination, p.watermark, string_to_array(p.above, ' ')::bigint[], "
  "p.delivered, p.dead, p.paused <> 0, p.reached, string_to_array(p.open, ' ')::bigint[], p.settled "
  "FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], "
  "$9::text[], $10::bigint[]) AS p (destination, watermark, above, delivered, dead, paused, reached, open, settled) "
  "ON CONFLICT (shard, destination) DO UPDATE SET watermark = excluded.watermark, settled_above = "
  "excluded.settled_above, last_delivered = excluded.last_delivered, dead_letters_in_a_row = "
  "excluded.dead_letters_in_a_row, paused = excluded.paused, reached = excluded.reached, unsettled = "
  "excluded.unsettled, settled = excluded.settled";

constexpr const char* save_parked =
  "INSERT INTO reseq.parked SELECT $1::integer, p.destination, p.key, p.start FROM unnest($2::bigint[], $3::text[], "
  "$4::bigint[]) AS p (destination, key, start) "
  "ON CONFLICT (shard, destination, key) DO UPDATE SET from_sequence = excluded.from_sequence";

constexpr const char* remove_parked =
  "DELETE FROM reseq.parked p USING unnest($2::bigint[], $3::text[]) AS gone (destination, key) "
  "WHERE p.shard = $1 AND p.destination = gone.destination AND p.key = gone.key";

constexpr const char* save_held =
  "INSERT INTO reseq.held VALUES ($1, $2, $3, $4, $5, $6, $7, to_timestamp($8::bigint / 1000.0)) "
  "ON CONFLICT (shard, destination, sequence) DO UPDATE SET position = excluded.position, reason = excluded.reason, "
  "attempts = excluded.attempts, last_error = excluded.last_error, since = excluded.since";

constexpr const char* remove_held = "DELETE FROM reseq.held WHERE shard = $1 AND destination = $2 AND sequence = $3";

constexpr const char* try_held = "INSERT INTO reseq.held SELECT * FROM reseq.held WHERE false ON CONFLICT (shard, "
                                 "destination, sequence) DO UPDATE SET "
                                 "position = excluded.position";

constexpr const char* save_dead_letter =
  "INSERT INTO reseq.dead_letter SELECT $1::integer, $2::bigint, $3::bigint, $4::bigint, $5, $6::bigint, $7, "
  "to_timestamp($8::bigint / 1000.0), id, key, content_type, headers, payload FROM reseq.message "
  "WHERE shard = $1 AND position = $4 "
  "ON CONFLICT (shard, destination, sequence) DO UPDATE SET reason = excluded.reason, attempts = excluded.attempts, "
  "last_error = excluded.last_error, since = excluded.since";

constexpr const char* save_operation =
  "INSERT INTO reseq.operation (shard, kind, destination, sequence, at) VALUES ($1, $2, $3, $4, "
  "to_timestamp($5::bigint / 1000.0))";

constexpr const char* try_operation =
  "INSERT INTO reseq.operation (shard, kind, destination, sequence, at) SELECT shard, kind, destination, sequence, at "
  "FROM reseq.operation WHERE false";

result<void> check_known(const owned_shard& shard, destination_id destination) {
  if (shard.heads.destinations.contains(destination)) return {};
  return fail(errc::invalid, "the shard has no destination " + std::to_string(destination.value()), "destination");
}

result<void> check_known(const owned_shard& shard, const core::journal_change& change) {
  const auto check_all = [&](const auto& records) -> result<void> {
    for (const auto& record : records)
      if (auto known = check_known(shard, record.destination); !known) return known;
    return {};
  };
  return check_all(change.progress)
    .and_then([&] { return check_all(change.parked); })
    .and_then([&] { return check_all(change.held); })
    .and_then([&] { return check_all(change.dead_letters); });
}

using of = binary_array::of;

void write_progress(database& db, pqxx::work& tx, const owned_shard& shard,
                    const std::vector<core::progress_record>& records) {
  binary_array destination(of::bigint), watermark(of::bigint), above(of::text), delivered(of::bigint), dead(of::bigint),
    paused(of::bigint), reached(of::bigint), open(of::text), settled(of::bigint);
  for (const auto& record : records) {
    destination.add_number(record.destination.value());
    watermark.add_number(record.watermark.value());
    above.add(encode_sequences(record.above));
    delivered.add_number(record.last_delivered.value());
    dead.add_number(record.dead_letters_in_a_row);
    paused.add_number(record.paused ? 1 : 0);
    reached.add_number(record.reached.value());
    open.add(encode_sequences(record.open));
    settled.add_number(record.settled);
  }
  db.run(tx, save_progress, shard.number, binary(destination.bytes()), binary(watermark.bytes()), binary(above.bytes()),
         binary(delivered.bytes()), binary(dead.bytes()), binary(paused.bytes()), binary(reached.bytes()),
         binary(open.bytes()), binary(settled.bytes()));
}

void write_unparked(database& db, pqxx::work& tx, const owned_shard& shard,
                    const std::vector<core::journal_change::parked_key>& keys) {
  binary_array destination(of::bigint), key(of::text);
  for (const auto& gone : keys) {
    destination.add_number(gone.destination.value());
    key.add_readable(gone.key);
  }
  db.run(tx, remove_parked, shard.number, binary(destination.bytes()), binary(key.bytes()));
}

void write_parked(database& db, pqxx::work& tx, const owned_shard& shard,
                  const std::vector<core::parked_record>& records) {
  binary_array destination(of::bigint), key(of::text), from(of::bigint);
  for (const auto& record : records) {
    destination.add_number(record.destination.value());
    key.add_readable(record.key);
    from.add_number(record.from.value());
  }
  db.run(tx, save_parked, shard.number, binary(destination.bytes()), binary(key.bytes()), binary(from.bytes()));
}

/// `sql` with what held messages and dead letters have in common, in the order of their columns.
pqxx::result write(database& db, pqxx::work& tx, const char* sql, const owned_shard& shard,
                   const core::held_record& record) {
  return db.run(tx, sql, shard.number, record.destination.value(), record.seq.value(), record.at.value(),
                std::string(reason_name(record.reason)), record.attempts, to_readable(record.last_error),
                record.since.time_since_epoch().count());
}

} // namespace

result<void> write_change(database& db, pqxx::work& tx, const owned_shard& shard, const core::journal_change& change) {
  if (auto known = check_known(shard, change); !known) return known;
  if (!change.progress.empty()) write_progress(db, tx, shard, change.progress);
  if (!change.unparked.empty()) write_unparked(db, tx, shard, change.unparked);
  if (!change.parked.empty()) write_parked(db, tx, shard, change.parked);
  for (const auto& [destination, seq] : change.unheld)
    db.run(tx, remove_held, shard.number, destination.value(), seq.value());
  for (const auto& record : change.held) write(db, tx, save_held, shard, record);
  for (const auto& record : change.dead_letters)
    if (write(db, tx, save_dead_letter, shard, record).affected_rows() == 0)
      return fail(errc::not_found, "there is no message at position " + std::to_string(record.at.value()),
                  "dead letter");
  for (const auto& done : change.operations)
    db.run(tx, save_operation, shard.number, done.kind, done.destination.value(), done.seq.value(),
           done.when.time_since_epoch().count());
  return {};
}

void try_change(database& db, pqxx::work& tx, const owned_shard& shard) {
  write_progress(db, tx, shard, {});
  write_unparked(db, tx, shard, {});
  write_parked(db, tx, shard, {});
  db.run(tx, remove_held, shard.number, 0, 0);
  db.run(tx, try_held);
  write(db, tx, save_dead_letter, shard, {}); // of no message
  db.run(tx, try_operation);
}

} // namespace reseq::store::postgres

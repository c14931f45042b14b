#include "reseq/store/sqlite/changes.hpp"

#include <string>

#include "reseq/store/codec.hpp"
#include "reseq/store/sqlite/schema.hpp"

namespace reseq::store::sqlite {

namespace {

bool known(connection& db, const owned_shard& shard, destination_id destination) {
  if (shard.heads.destinations.contains(destination)) return true;
  db.fail_with({errc::invalid, "the shard has no destination " + std::to_string(destination.value()), "destination"});
  return false;
}

void write_progress(connection& db, const owned_shard& shard, const core::progress_record& record) {
  const std::string above = encode_sequences(record.above);
  const std::string open = encode_sequences(record.open);
  db.use("REPLACE INTO progress VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
    .number(shard.number)
    .number(record.destination.value())
    .number(record.watermark.value())
    .text(above)
    .number(record.last_delivered.value())
    .number(record.dead_letters_in_a_row)
    .number(record.paused ? 1 : 0)
    .number(record.reached.value())
    .text(open)
    .number(record.settled)
    .run();
}

void write_parked(connection& db, const owned_shard& shard, const core::parked_record& record) {
  db.use("REPLACE INTO parked VALUES (?, ?, ?, ?)")
    .number(shard.number)
    .number(record.destination.value())
    .text(record.key)
    .number(record.from.value())
    .run();
}

/// Binds what held messages and dead letters have in common, in the order of their columns.
query& bind(query& insert, const owned_shard& shard, const core::held_record& record) {
  return insert.number(shard.number)
    .number(record.destination.value())
    .number(record.seq.value())
    .number(record.at.value())
    .text(reason_name(record.reason))
    .number(record.attempts)
    .text(record.last_error)
    .signed_number(record.since.time_since_epoch().count());
}

void write_held(connection& db, const owned_shard& shard, const core::held_record& record) {
  auto insert = db.use("REPLACE INTO held VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
  bind(insert, shard, record).run();
}

void write_dead_letter(connection& db, const owned_shard& shard, const core::dead_letter_record& record) {
  auto insert =
    db.use("REPLACE INTO dead_letter SELECT ?, ?, ?, ?, ?, ?, ?, ?, id, key, content_type, headers, payload "
           "FROM message WHERE place = ?");
  bind(insert, shard, record).number(place(shard.number, record.at.value())).run();
  if (db.ok() && db.changed_rows() == 0)
    db.fail_with(
      {errc::not_found, "there is no message at position " + std::to_string(record.at.value()), "dead letter"});
}

} // namespace

void write_change(connection& db, const owned_shard& shard, const core::journal_change& change) {
  for (const auto& record : change.progress)
    if (known(db, shard, record.destination)) write_progress(db, shard, record);
  for (const auto& [destination, key] : change.unparked)
    db.use("DELETE FROM parked WHERE shard = ? AND destination = ? AND key = ?")
      .number(shard.number)
      .number(destination.value())
      .text(key)
      .run();
  for (const auto& record : change.parked)
    if (known(db, shard, record.destination)) write_parked(db, shard, record);
  for (const auto& [destination, seq] : change.unheld)
    db.use("DELETE FROM held WHERE shard = ? AND destination = ? AND sequence = ?")
      .number(shard.number)
      .number(destination.value())
      .number(seq.value())
      .run();
  for (const auto& record : change.held)
    if (known(db, shard, record.destination)) write_held(db, shard, record);
  for (const auto& record : change.dead_letters)
    if (known(db, shard, record.destination)) write_dead_letter(db, shard, record);
  for (const auto& done : change.operations)
    db.use("INSERT INTO operation (shard, kind, destination, sequence, at_ms) VALUES (?, ?, ?, ?, ?)")
      .number(shard.number)
      .text(done.kind)
      .number(done.destination.value())
      .number(done.seq.value())
      .signed_number(done.when.time_since_epoch().count())
      .run();
}

} // namespace reseq::store::sqlite

#include "reseq/store/postgres/recovery.hpp"

#include <array>
#include <string>

#include "reseq/store/postgres/batch.hpp"
#include "reseq/store/postgres/changes.hpp"
#include "reseq/store/postgres/fence.hpp"
#include "reseq/store/postgres/readable.hpp"
#include "reseq/store/recorded_shard.hpp"

namespace reseq::store::postgres {

namespace {

void record(database& db, pqxx::work& tx, const owned_shard& shard, const recovery& how, wall_time now) {
  const auto number =
    db.run(tx,
           "INSERT INTO reseq.recovery (shard, at, epoch, after_position, last_position, why) VALUES ($1, "
           "to_timestamp($2::bigint / 1000.0), $3, $4, $5, $6) RETURNING number",
           shard.number, now.time_since_epoch().count(), how.owner.value(), shard.heads.last.value(), how.last.value(),
           to_readable(how.why))[0][0]
      .as<std::uint64_t>();
  for (const auto& [destination, range] : how.missing)
    db.run(tx, "INSERT INTO reseq.lost VALUES ($1, $2, $3, $4, $5)", shard.number, destination.value(),
           range.first.value(), range.last.value(), number);
}

} // namespace

result<void> recover(database& db, partitioned_shard& shard, const recovery& how, wall_time now,
                     std::span<const std::pair<destination_id, std::string>> unrecorded) {
  if (auto fine = check_recovery(shard, how); !fine) return fine;
  return db.transact([&](pqxx::work& tx) -> result<void> {
    // As a takeover does, since this changes the epoch.
    db.run(tx, "SELECT FROM reseq.shard WHERE number = $1 FOR UPDATE", shard.number);
    std::array<owned_shard*, 1> ours{&shard};
    if (auto held = hold(db, tx, fence::accept, ours); !held) return tl::unexpected(std::move(held.error()));
    for (const auto& [id, name] : unrecorded)
      db.run(tx, "INSERT INTO reseq.destination VALUES ($1, $2, $3, 0)", shard.number, id.value(), name);
    // So that the tables say where each destination's sequences end, and the shard where its positions do.
    write_indexes(db, tx, shard, shard.behind.everything());
    db.run(tx, "UPDATE reseq.shard SET epoch = $2, indexed_position = $3 WHERE number = $1", shard.number,
           how.owner.value(), how.last.value());
    core::journal_change rewound;
    rewound.progress = how.rewound;
    if (auto written = write_change(db, tx, shard, rewound); !written) return written;
    record(db, tx, shard, how, now);
    return {};
  });
}

result<bool> has_recovered(database& db, std::uint64_t number, const recovery& how, wall_time now,
                           std::chrono::milliseconds patience) {
  return db.transact([&](pqxx::work& tx) -> result<bool> {
    tx.exec("SET LOCAL lock_timeout = '" + std::to_string(patience.count()) + "ms'");
    db.run(tx, "SELECT FROM reseq.shard WHERE number = $1 FOR UPDATE", number);
    // Not by the epoch alone: a takeover may have raised it to the same.
    const auto found = db.run(tx,
                              "SELECT FROM reseq.recovery WHERE shard = $1 AND at = to_timestamp($2::bigint / 1000.0) "
                              "AND epoch = $3 AND last_position = $4",
                              number, now.time_since_epoch().count(), how.owner.value(), how.last.value());
    return !found.empty();
  });
}

} // namespace reseq::store::postgres

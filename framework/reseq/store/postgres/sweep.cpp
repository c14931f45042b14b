#include "reseq/store/postgres/sweep.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

#include "reseq/store/postgres/batch.hpp"
#include "reseq/store/postgres/fence.hpp"
#include "reseq/store/postgres/partitions.hpp"

namespace reseq::store::postgres {

namespace {

// Producers wait behind each slice.
constexpr std::uint64_t enrolment_at_once = 2000;
constexpr std::uint64_t messages_at_once = 500;
constexpr std::uint64_t bytes_at_once = 8U << 20U; ///< and the message that they are reached with

/// A destination's rows go from the lowest sequence on, as positions rise with sequences; and where the sequences stand
/// must outlive their rows. By ctid: what joins by keys reads the whole index where statistics say that many rows
/// match.
constexpr const char* sweep_enrolment =
  "WITH gone AS (DELETE FROM reseq.enrolment WHERE ctid = ANY (ARRAY(SELECT ctid FROM reseq.enrolment WHERE shard = $1 "
  "AND last_position <= $2 ORDER BY last_position LIMIT $3)) RETURNING destination, last_sequence), "
  "raised AS (UPDATE reseq.destination d SET forgotten_sequence = greatest(d.forgotten_sequence, g.last) FROM (SELECT "
  "destination, max(last_sequence) AS last FROM gone GROUP BY destination) g WHERE d.shard = $1 AND d.id = "
  "g.destination) SELECT count(*) FROM gone";

result<void> hold(database& db, pqxx::work& tx, partitioned_shard& shard) {
  std::array<owned_shard*, 1> ours{&shard};
  return hold(db, tx, fence::write, ours);
}

/// Messages that are not indexed are needed at start-up. Where so few come that some of those are past retention, all
/// are indexed at once: once in a retention, as what comes next is young.
result<void> index_all(database& db, partitioned_shard& shard) {
  const auto all = shard.behind.everything();
  auto written = db.transact([&](pqxx::work& tx) -> result<void> {
    if (auto held = hold(db, tx, shard); !held) return held;
    write_indexes(db, tx, shard, all);
    return {};
  });
  if (written) shard.behind.written(all);
  return written;
}

bool oldest_partition_goes_soon(database& db, pqxx::work& tx, const partitioned_shard& shard, wall_time last_before) {
  const auto& oldest = shard.partitions.front();
  if (shard.partitions.size() == 1 || shard.heads.last + 1 < oldest.end) return false;
  if (shard.forgotten + 1 >= oldest.end) return true;
  const auto last =
    db.run(tx,
           "SELECT accepted < to_timestamp($4::bigint / 1000.0) FROM reseq.message WHERE shard = $1 "
           "AND position >= $2 AND position < $3 ORDER BY position DESC LIMIT 1",
           shard.number, oldest.first.value(), oldest.end.value(), last_before.time_since_epoch().count());
  return last.empty() || last[0][0].as<bool>();
}

/// Of the oldest partition; whether there are more. Their sizes are known without reading the payloads.
bool sweep_messages(pqxx::work& tx, const partitioned_shard& shard) {
  const auto table = table_of(shard, shard.partitions.front());
  const auto forgotten = table + " WHERE position <= " + std::to_string(shard.forgotten.value());
  tx.exec("DELETE FROM " + table +
          " WHERE position <= (SELECT max(position) FROM (SELECT position, sum(octet_length(payload)) OVER (ORDER BY "
          "position) - octet_length(payload) AS before FROM " +
          forgotten + " ORDER BY position LIMIT " + std::to_string(messages_at_once) + ") AS oldest WHERE before < " +
          std::to_string(bytes_at_once) + ")");
  return !tx.exec("SELECT FROM " + forgotten + " LIMIT 1").empty();
}

} // namespace

result<bool> sweep(database& db, partitioned_shard& shard, wall_time before, duration patience) {
  if (shard.forgotten == shard.swept) return false;
  if (shard.behind.indexed() < shard.forgotten)
    if (auto indexed = index_all(db, shard); !indexed) return tl::unexpected(std::move(indexed.error()));
  const auto soon = before + std::chrono::duration_cast<std::chrono::milliseconds>(patience);
  bool waits = false;
  const auto more = db.transact([&](pqxx::work& tx) -> result<bool> {
    if (auto held = hold(db, tx, shard); !held) return tl::unexpected(std::move(held.error()));
    const auto gone =
      db.run(tx, sweep_enrolment, shard.number, shard.forgotten.value(), enrolment_at_once)[0][0].as<std::uint64_t>();
    waits = oldest_partition_goes_soon(db, tx, shard, soon);
    const bool messages = !waits && sweep_messages(tx, shard);
    return gone == enrolment_at_once || messages;
  });
  if (more && !*more && !waits) shard.swept = shard.forgotten;
  return more;
}

} // namespace reseq::store::postgres

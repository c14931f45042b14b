/// Group commit: what all shards want made durable, on its way through one transaction.
#pragma once

#include <deque>
#include <span>
#include <string>
#include <vector>

#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/store/codec.hpp"
#include "reseq/store/journal.hpp"
#include "reseq/store/postgres/database.hpp"
#include "reseq/store/postgres/partitioned_shard.hpp"
#include "reseq/store/staged_batch.hpp"

namespace reseq::store::postgres {

using commit_part = part_of<partitioned_shard>;

/// Written once; then either published or undone, as `staged_batch` says.
class batch {
public:
  /// `number`: of no other batch under the same epoch.
  batch(const id_keys& keys, wall_time now, std::uint64_t number)
    : keys_(keys), now_ms_(now.time_since_epoch().count()), number_(number) {}

  /// Writes everything inside the caller's transaction, or answers why not. When there is nothing to write, it is tried
  /// whether anything could be: it fails for a table, or a privilege, that other commits need and that is missing.
  result<void> write(database& db, pqxx::work& tx, std::span<const commit_part> parts);
  /// Whether it was committed, if it accepted nothing; else the last positions tell. Not by the transaction's number,
  /// which PostgreSQL gives again when it crashes before it has written of the first one. Only once its locks are free,
  /// or it may still be under way.
  [[nodiscard]] bool saved(database& db, pqxx::work& tx) const;
  [[nodiscard]] const std::deque<staged_shard>& shards() const { return staged_.shards(); }

  /// It is durable: the answers, one for each part.
  [[nodiscard]] std::vector<shard_committed> publish() { return staged_.publish(); }

private:
  result<void> hold_fences(database& db, pqxx::work& tx, std::span<const commit_part> parts);
  result<void> apply(database& db, pqxx::work& tx, const commit_part& part);
  void try_out(database& db, pqxx::work& tx, staged_shard& staged);
  [[nodiscard]] bool accepts() const;

  const id_keys& keys_;
  std::int64_t now_ms_;
  std::uint64_t number_;
  staged_batch staged_;
};

/// Writes a slice of the enrolment that is behind; `shard.behind.written` is to follow once that is durable.
void write_indexes(database& db, pqxx::work& tx, const owned_shard& shard, const write_behind::slice& slice);

} // namespace reseq::store::postgres

/// Group commit: what all shards want made durable, in one transaction.
#pragma once

#include <span>
#include <vector>

#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/store/codec.hpp"
#include "reseq/store/journal.hpp"
#include "reseq/store/owned_shard.hpp"
#include "reseq/store/sqlite/connection.hpp"

namespace reseq::store::sqlite {

using commit_part = part_of<owned_shard>;

/// `journal::commit` for parts whose shards were looked up. After an error nothing has changed, in the database or in
/// the shards.
result<std::vector<shard_committed>> commit_parts(connection& db, const id_keys& keys,
                                                  std::span<const commit_part> parts, wall_time now);

/// `errc::fenced`, latched on `db`, when another owner has taken `shard` over. Inside the transaction that it guards.
void check_epoch(connection& db, const owned_shard& shard);

/// Writes a slice of the indexes that are behind; `shard.behind.written` is to follow once that is durable.
void write_indexes(connection& db, const owned_shard& shard, const write_behind::slice& slice);

} // namespace reseq::store::sqlite

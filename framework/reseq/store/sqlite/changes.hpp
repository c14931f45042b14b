/// Progress, held messages, dead letters and operations, as rows.
#pragma once

#include "reseq/core/records.hpp"
#include "reseq/store/owned_shard.hpp"
#include "reseq/store/sqlite/connection.hpp"

namespace reseq::store::sqlite {

/// Writes `change` inside the caller's transaction. Latched on `db`: `errc::invalid` for a destination that the shard
/// does not have, `errc::not_found` for a dead letter whose message is past retention.
void write_change(connection& db, const owned_shard& shard, const core::journal_change& change);

} // namespace reseq::store::sqlite

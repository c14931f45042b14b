/// Progress, held messages, dead letters and operations, as rows.
#pragma once

#include "reseq/core/records.hpp"
#include "reseq/model/error.hpp"
#include "reseq/store/owned_shard.hpp"
#include "reseq/store/postgres/database.hpp"

namespace reseq::store::postgres {

/// Writes `change` inside the caller's transaction. `errc::invalid` for a destination that the shard does not have,
/// `errc::not_found` for a dead letter whose message is past retention.
result<void> write_change(database& db, pqxx::work& tx, const owned_shard& shard, const core::journal_change& change);

/// Does what `write_change` may need to do, with nothing: it fails as that would for a table that is missing, or a
/// privilege.
void try_change(database& db, pqxx::work& tx, const owned_shard& shard);

} // namespace reseq::store::postgres

/// Who may write: every transaction locks the rows of its shards and then looks whether they are still ours.
///
/// `WHERE epoch = …` alone would be no fence: the statement's snapshot may be older than the change of owner, and the
/// transaction may commit after it. A takeover locks the row `FOR UPDATE`, which no lock here goes together with.
#pragma once

#include <cstdint>
#include <span>

#include "reseq/model/error.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/store/owned_shard.hpp"
#include "reseq/store/postgres/database.hpp"

namespace reseq::store::postgres {

enum class fence {
  accept, ///< only one at a time gives positions
  write,  ///< anything else; goes together with itself and with `accept`
};

/// Holds the fences of `shards`, at least one, until the transaction ends; `errc::fenced` when a shard has a later
/// owner.
result<void> hold(database& db, pqxx::work& tx, fence kind, std::span<owned_shard* const> shards);

} // namespace reseq::store::postgres

/// Going on past what was seen of a history that the journal has lost.
#pragma once

#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/store/journal.hpp"
#include "reseq/store/owned_shard.hpp"
#include "reseq/store/sqlite/connection.hpp"

namespace reseq::store::sqlite {

/// `journal::recover`, in one transaction. `shard` is out of date after it.
result<void> recover(connection& db, owned_shard& shard, const recovery& how, wall_time now);

} // namespace reseq::store::sqlite

/// Forgetting what is old and settled.
#pragma once

#include <cstdint>

#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/store/postgres/database.hpp"
#include "reseq/store/postgres/partitioned_shard.hpp"

namespace reseq::store::postgres {

/// `journal::expire`: raises the position up to which messages are past retention, which is all it takes to forget
/// them; then deletes a slice of what was forgotten, and when nothing is left of it, drops the oldest partition if all
/// of that is forgotten. Ids that no route wanted count as messages.
/// Messages wait up to `patience` for their partition to go whole.
result<std::uint64_t> expire(database& db, partitioned_shard& shard, wall_time before, wall_time now,
                             std::uint32_t max_messages, duration patience);

} // namespace reseq::store::postgres

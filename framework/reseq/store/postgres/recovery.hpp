/// Going on past what was seen of a history that the journal has lost.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/store/journal.hpp"
#include "reseq/store/postgres/database.hpp"
#include "reseq/store/postgres/partitioned_shard.hpp"

namespace reseq::store::postgres {

/// `journal::recover`, in one transaction, which also records the destinations that are `unrecorded`. `shard` is out of
/// date after it.
result<void> recover(database& db, partitioned_shard& shard, const recovery& how, wall_time now,
                     std::span<const std::pair<destination_id, std::string>> unrecorded = {});

/// Whether `recover` of the shard in row `number`, with the same arguments, happened. Waits at most `patience` for a
/// session that may still be at it; then it is an error that `is_lock_timeout` knows.
result<bool> has_recovered(database& db, std::uint64_t number, const recovery& how, wall_time now,
                           std::chrono::milliseconds patience);

} // namespace reseq::store::postgres

/// Forgetting what is old and settled.
#pragma once

#include <cstdint>

#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/store/codec.hpp"
#include "reseq/store/owned_shard.hpp"
#include "reseq/store/sqlite/connection.hpp"

namespace reseq::store::sqlite {

/// `journal::expire`, in one transaction. Ids that no route wanted count as messages.
result<std::uint64_t> expire(connection& db, const id_keys& keys, owned_shard& shard, wall_time before, wall_time now,
                             std::uint32_t max_messages);

} // namespace reseq::store::sqlite

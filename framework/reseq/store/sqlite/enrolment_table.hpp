/// Finding a destination's sequences in the `enrolment` table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "reseq/model/error.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/store/owned_shard.hpp"
#include "reseq/store/sqlite/connection.hpp"

namespace reseq::store::sqlite {

/// The positions of `first` and what follows it, at most `limit`, from the table and from what is behind it; ends
/// early only at the last sequence. `errc::not_found` when `first` is past retention or the destination unknown. For
/// the writer, or for a reader that has no transaction open: an older snapshot may miss what was written since.
result<std::vector<position>> positions(connection& db, const owned_shard& shard, destination_id destination,
                                        sequence first, std::size_t limit);

} // namespace reseq::store::sqlite

/// Finding a destination's sequences in `reseq.enrolment`.
#pragma once

#include <cstddef>
#include <vector>

#include "reseq/model/error.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/store/owned_shard.hpp"
#include "reseq/store/postgres/database.hpp"

namespace reseq::store::postgres {

/// The positions of `first` and what follows it, at most `limit`, from the table and from what is behind it; ends
/// early only at the last sequence. `errc::not_found` when `first` is past retention or the destination unknown. `tx`
/// must see what was committed up to now.
result<std::vector<position>> positions(database& db, pqxx::transaction_base& tx, const owned_shard& shard,
                                        destination_id destination, sequence first, std::size_t limit);

} // namespace reseq::store::postgres

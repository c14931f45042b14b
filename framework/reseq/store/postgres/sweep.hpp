/// Deleting, a slice at a time, what was forgotten.
#pragma once

#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/store/postgres/database.hpp"
#include "reseq/store/postgres/partitioned_shard.hpp"

namespace reseq::store::postgres {

/// Deletes some of the enrolment and of the messages that are past retention, in a transaction of its own, which locks
/// nobody out; whether there is more. Messages wait for their partition to be dropped, which costs less, where that is
/// full, and the last of it goes past retention within `patience` after those accepted before `before`.
result<bool> sweep(database& db, partitioned_shard& shard, wall_time before, duration patience);

} // namespace reseq::store::postgres

/// Deleting, a slice at a time, what was forgotten.
#pragma once

#include "reseq/model/error.hpp"
#include "reseq/store/postgres/database.hpp"
#include "reseq/store/postgres/partitioned_shard.hpp"

namespace reseq::store::postgres {

/// Deletes some of the enrolment that is past retention, in a transaction of its own, which locks nobody out; whether
/// there is more.
result<bool> sweep(database& db, partitioned_shard& shard);

} // namespace reseq::store::postgres

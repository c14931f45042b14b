/// The tables in the schema `reseq`: which version, and how older ones are brought up to date.
#pragma once

#include "reseq/model/error.hpp"
#include "reseq/store/postgres/database.hpp"

namespace reseq::store::postgres {

/// Creates the schema, or brings it up to this version one numbered step after the other, in one transaction; several
/// processes may do so at once. `errc::incompatible`, and nothing changed, when a newer version of this program wrote
/// it.
result<void> prepare_schema(database& db);

} // namespace reseq::store::postgres

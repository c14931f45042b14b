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

/// The end of a sentence about how the database has gone back.
inline constexpr const char* advice_after_going_back = "; nothing is written until it is as it was (a standby that "
                                                       "takes over must be a synchronous one), or this program is "
                                                       "started again and goes on from there";

/// Holds the fences of `shards`, at least one, until the transaction ends; `errc::fenced`, naming its node, when a
/// shard has a later owner, `errc::corrupt` when the database knows of an earlier one, or of none: it has gone back in
/// time.
result<void> hold(database& db, pqxx::work& tx, fence kind, std::span<owned_shard* const> shards);

} // namespace reseq::store::postgres

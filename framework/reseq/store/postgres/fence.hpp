/// Who may write: every transaction locks the rows of its shards and then looks whether they are still ours.
///
/// `WHERE epoch = …` alone would be no fence: the statement's snapshot may be older than the change of owner, and the
/// transaction may commit after it. A takeover locks the row `FOR UPDATE`, which no lock here goes together with.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

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
inline constexpr const char* advice_after_going_back = " (a standby that takes over must be a synchronous one). This "
                                                       "process alone knows what it gave, and another start would not "
                                                       "notice: recover while it runs, or stop it and restore a later "
                                                       "copy before it starts again";

/// Holds the fences of `shards`, at least one, until the transaction ends; `errc::fenced`, naming its node, when a
/// shard has a later owner, `errc::diverged` when the database knows of an earlier one, or of none: it has gone back in
/// time.
result<void> hold(database& db, pqxx::work& tx, fence kind, std::span<owned_shard* const> shards);

/// The same, but an answer for each shard: how the database has gone back, in words; empty if it has not.
result<std::vector<std::string>> hold_or_tell(database& db, pqxx::work& tx, fence kind,
                                              std::span<owned_shard* const> shards);

} // namespace reseq::store::postgres

/// Taking over a shard: its epoch, its definition, its destinations, and what is not in the indexes yet.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "reseq/model/error.hpp"
#include "reseq/store/codec.hpp"
#include "reseq/store/journal.hpp"
#include "reseq/store/owned_shard.hpp"
#include "reseq/store/sqlite/connection.hpp"
#include "reseq/store/sqlite/high_water.hpp"

namespace reseq::store::sqlite {

struct opened_shard {
  std::unique_ptr<owned_shard> owned;
  shard_state state; ///< without the handle
};

/// `journal::open` in one transaction on the writer's connection. Reads the destinations, and of the messages only
/// those past the indexed position. `errc::diverged` when the database does not reach what was `noted`.
result<opened_shard> open_shard(connection& db, const id_keys& keys, write_behind_limits limits, const shard_id& shard,
                                const definition& what, std::span<const destination_spec> destinations,
                                const high_water::mark& noted);

/// `journal::left_behind_elsewhere`, for a journal that has opened `ours`.
result<std::vector<left_behind>> find_left_behind(connection& db, const id_keys& keys, write_behind_limits limits,
                                                  std::span<const shard_id> ours);

} // namespace reseq::store::sqlite

/// Taking over a shard: its fence, its definition, its destinations, and what is not in the indexes yet.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "reseq/model/error.hpp"
#include "reseq/store/journal.hpp"
#include "reseq/store/postgres/database.hpp"
#include "reseq/store/postgres/partitioned_shard.hpp"
#include "reseq/store/postgres/partitions.hpp"

namespace reseq::store::postgres {

struct opened_shard {
  std::unique_ptr<partitioned_shard> owned;
  shard_state state;      ///< without the handle
  std::string taken_from; ///< the node that owned it, if that is another one that still has its session
};

struct open_options {
  std::string node;
  write_behind_limits indexes;
  partition_limits partitions;
  std::chrono::milliseconds patience{}; ///< with an owner that holds its fence; then its backend is ended
};

/// `journal::open` in one transaction. `errc::unavailable` when the fence is not to be had even after the owner's
/// backend was ended. `errc::fenced`, and nothing is taken over, when one of `before`, which this process has opened
/// earlier, has a later owner by now: of two that start at once and open the same shards in the same order, the later
/// owner of the first one gets them all.
result<opened_shard> open_shard(database& db, const open_options& options, const shard_id& shard,
                                const definition& what, std::span<const destination_spec> destinations,
                                std::span<partitioned_shard* const> before);

/// A shard as the database has it now, which lacks what a process that owns it had confirmed.
struct shard_gone_back {
  std::unique_ptr<partitioned_shard> owned;                       ///< number 0 if there is no row of it
  std::vector<std::pair<destination_id, std::string>> unrecorded; ///< destinations that the database does not know
};

/// Changes nothing. `errc::conflict` when a destination of `known` has another number in the database.
result<shard_gone_back> read_again(database& db, const open_options& options, const owned_shard& known);

/// The number of the shard's row, made if it is not there.
result<std::uint64_t> row_of(database& db, const shard_id& shard);

/// `journal::left_behind_elsewhere`, for a journal that has opened `ours`.
result<std::vector<left_behind>> find_left_behind(database& db, const open_options& options,
                                                  std::span<owned_shard* const> ours);

/// Records that `db` writes for `shard` now. Inside a transaction that holds its fence.
void record_backend(database& db, pqxx::work& tx, const partitioned_shard& shard);

/// Ends the session that is recorded for the shard in row `number`, unless that is over already or `db` itself.
result<void> end_recorded_backend(database& db, std::uint64_t number);

} // namespace reseq::store::postgres

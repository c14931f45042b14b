/// What this journal keeps in memory of a shard that this process owns.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "reseq/model/clock.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/store/owned_shard.hpp"

namespace reseq::store::postgres {

/// A table with the messages from `first` up to, not including, `end`.
struct message_partition {
  position first;
  position end;
  wall_time created{};
};

/// `forgotten_position` may be read from any thread, the rest as `owned_shard` says.
struct partitioned_shard : owned_shard {
  using owned_shard::owned_shard;

  std::vector<message_partition> partitions; ///< ascending, without gaps; never empty once opened
  time_point next_partition_from{};          ///< one that is not needed yet is tried again from then on
  position swept;                            ///< up to here, what was forgotten is deleted
  std::atomic<std::uint64_t> forgotten_position{0};
  std::string gone_back; ///< what was seen, once the database was found to lack what it had confirmed

  void forget_up_to(position at) {
    forgotten = at;
    forgotten_position = at.value();
  }
};

} // namespace reseq::store::postgres

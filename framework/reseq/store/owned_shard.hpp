/// What the journal keeps in memory of a shard that this process owns.
#pragma once

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "reseq/core/sequencer.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/store/journal.hpp"
#include "reseq/store/write_behind.hpp"

namespace reseq::store {

/// `behind` may be read from any thread and `number`, `name`, `owner`, `lost` never change; the rest is the writer's.
struct owned_shard {
  struct backlog {
    std::uint64_t max_pending = 0;
    sequence watermark;
  };

  owned_shard(std::uint64_t row, write_behind_limits limits) : number(row), behind(limits) {}

  std::uint64_t number; ///< of its row in `shard`
  shard_id name;
  epoch owner;
  core::heads heads;
  std::unordered_map<destination_id, backlog> backlogs;
  std::unordered_map<destination_id, std::vector<lost_sequences>> lost; ///< of those that have lost any
  bool has_unrouted = false;
  position forgotten; ///< up to here messages are past retention
  position settled;   ///< up to here every destination has settled; may lie behind
  position ahead;     ///< from the oldest message to here all were accepted while the clock was ahead, if it was
  write_behind behind;

  /// Takes over a destination's saved progress: how far it may be filled depends on it.
  void settle(const core::progress_record& saved) {
    auto& of = backlogs[saved.destination];
    of.watermark = saved.watermark;
    const auto missing = lost.find(saved.destination);
    heads.destinations[saved.destination].limit = sequence{saved.settled_messages()} + of.max_pending +
                                                  (missing == lost.end() ? 0 : missing_after(saved, missing->second));
  }

  [[nodiscard]] recovery_findings findings() const {
    recovery_findings out{owner, {}, heads.last, {}, {}};
    for (const auto& [id, of] : heads.destinations) out.destinations.push_back({id, of.last, {}});
    return out;
  }

  /// The first sequence from `seq` on that is not lost.
  [[nodiscard]] sequence after_lost(destination_id destination, sequence seq) const {
    if (const auto missing = lost.find(destination); missing != lost.end())
      for (const auto& [range, recovered, why] : missing->second)
        if (range.first <= seq) seq = std::max(seq, range.last + 1);
    return seq;
  }
};

/// A commit's part, its shard looked up.
template <class Shard>
struct part_of {
  Shard* shard; ///< the same shard may come several times
  const shard_commit* wanted;
};

} // namespace reseq::store

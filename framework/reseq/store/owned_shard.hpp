/// What the journal keeps in memory of a shard that this process owns.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "reseq/core/sequencer.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/store/journal.hpp"
#include "reseq/store/write_behind.hpp"

namespace reseq::store {

/// `behind` may be read from any thread and `number`, `name`, `owner` never change; the rest is the writer's.
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
  bool has_unrouted = false;
  position forgotten; ///< up to here messages are past retention
  position settled;   ///< up to here every destination has settled; may lie behind
  write_behind behind;

  /// Takes over a destination's saved progress: how far it may be filled depends on it.
  void settle(const core::progress_record& saved) {
    auto& of = backlogs[saved.destination];
    of.watermark = saved.watermark;
    heads.destinations[saved.destination].limit = sequence{saved.settled_messages()} + of.max_pending;
  }
};

} // namespace reseq::store

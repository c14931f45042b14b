/// What a resequencer keeps of one shard: the lanes' sequences, results, and who may change them.
///
/// A pure value: the resequencer in memory, and in the simulation the Redis that forgets, since a copy of it is a
/// snapshot to go back to. It is an independent account of a lane: `lane` knows messages and receivers, this one only
/// what was said about sequences.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "reseq/core/lane_updates.hpp"
#include "reseq/model/error.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::core {

class lane_store {
public:
  /// As `store::resequencer::open`.
  result<lanes_found> open(epoch ours, std::span<const lane_name> lanes);
  /// As `store::resequencer::apply`, by the owner of epoch `ours`.
  result<lane_answers> apply(epoch ours, const lane_updates& updates);
  /// As `store::resequencer::look`.
  [[nodiscard]] lanes_seen look(std::span<const lane_name> lanes) const;
  /// As `store::resequencer::load`.
  [[nodiscard]] std::vector<stored_result> load(std::span<const work_key> keys) const;

  /// How many sequences its lanes have, pending or ready.
  [[nodiscard]] std::uint64_t sequences() const;

  /// What stands in Redis under a key of its own, and can be lost alone.
  enum class part : std::uint8_t { marks, pending, ready, results };
  /// Eviction: `lane` says whose, unless it is the marks or the results of all.
  void lose(part what, destination_id lane);

private:
  struct kept_lane {
    /// But for how far it was.
    void forget();

    lane_version version;
    lane_step step;
    sequence reached;
    std::vector<sequence> released; ///< by that step
    std::set<sequence> pending;
    std::set<sequence> ready;
  };

  lane_answer apply(const lane_update& update);
  void forget_lanes();

  epoch owner_;
  std::map<destination_id, kept_lane> lanes_;
  std::map<work_key, stored_result> results_;
};

/// What `open` says of a lane that was told of more than was assigned.
error ahead(const lane_name& lane, sequence reached);

/// What no resequencer takes: `errc::invalid` says why.
result<void> check(const lane_updates& updates);

} // namespace reseq::core

/// What the journal has recorded of a shard's destinations, and how the configuration changes it. For `open`.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "reseq/core/records.hpp"
#include "reseq/model/error.hpp"
#include "reseq/store/journal.hpp"
#include "reseq/store/owned_shard.hpp"

namespace reseq::store {

/// `errc::invalid` when two have one name.
result<void> check_names(std::span<const destination_spec> specs);

/// `errc::invalid`, as `journal::recover` says.
result<void> check_recovery(const owned_shard& shard, const recovery& how);

class recorded_shard {
public:
  struct destination {
    std::string name;
    core::progress_record progress;
    std::vector<core::held_record> held;     ///< ascending
    std::vector<core::parked_record> parked; ///< by key, ascending
    std::vector<lost_sequences> lost;        ///< ascending

    /// The last sequence that is not given any more, whoever had it.
    [[nodiscard]] sequence last_lost() const { return lost.empty() ? sequence{} : lost.back().range.last; }
  };

  /// The destination `id`, made if it is not there.
  destination& at(destination_id id);

  /// Makes those of `specs` known that are not, and says which, to be recorded. They start in `owned` with nothing.
  std::vector<std::pair<destination_id, std::string>> add_new(std::span<const destination_spec> specs,
                                                              owned_shard& owned);

  /// Undelivered messages of the destinations that have any, by name.
  [[nodiscard]] std::vector<std::pair<std::string, std::uint64_t>> backlogs(const owned_shard& owned) const;

  /// `errc::conflict`, naming it, when a destination that is not in `specs` has undelivered messages.
  [[nodiscard]] result<void> check_leavers(std::span<const destination_spec> specs, const owned_shard& owned) const;

  /// Fills in the heads and the backlogs of `owned`, and `state.destinations`. Once; `owned.behind` is complete.
  void describe(std::span<const destination_spec> specs, owned_shard& owned, shard_state& state);

private:
  std::map<destination_id, destination> recorded_;
};

} // namespace reseq::store

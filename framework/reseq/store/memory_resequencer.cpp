#include "reseq/store/memory_resequencer.hpp"

#include <string>

namespace reseq::store {

result<core::lanes_found> memory_resequencer::open(epoch ours, std::span<const core::lane_name> lanes) {
  auto found = kept_->open(ours, lanes);
  if (!found) return found;
  ours_ = ours;
  lanes_.clear();
  for (const auto& lane : lanes) lanes_.insert(lane.destination);
  return found;
}

result<core::lanes_seen> memory_resequencer::look(std::span<const core::lane_name> lanes) { return kept_->look(lanes); }

result<core::lane_answers> memory_resequencer::apply(const core::lane_updates& updates) {
  for (const auto& lane : updates.lanes)
    if (!lanes_.contains(lane.destination))
      return fail(errc::invalid, "is no lane of this shard", "destination " + std::to_string(lane.destination.value()));
  return kept_->apply(ours_, updates);
}

result<std::vector<core::stored_result>> memory_resequencer::load(std::span<const core::work_key> keys) {
  return kept_->load(keys);
}

} // namespace reseq::store

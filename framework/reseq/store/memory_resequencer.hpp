/// The resequencer in this process's memory.
#pragma once

#include <memory>
#include <set>

#include "reseq/core/lane_store.hpp"
#include "reseq/store/resequencer.hpp"

namespace reseq::store {

class memory_resequencer final : public resequencer {
public:
  /// `kept` outlives this object, so that the next owner finds what was kept; one thread uses it at a time.
  explicit memory_resequencer(std::shared_ptr<core::lane_store> kept) : kept_(std::move(kept)) {}

  result<core::lanes_found> open(epoch ours, std::span<const core::lane_name> lanes) override;
  result<core::lanes_seen> look(std::span<const core::lane_name> lanes) override;
  result<core::lane_answers> apply(const core::lane_updates& updates) override;
  result<std::vector<core::stored_result>> load(std::span<const core::work_key> keys) override;

private:
  std::shared_ptr<core::lane_store> kept_;
  epoch ours_;
  std::set<destination_id> lanes_;
};

} // namespace reseq::store

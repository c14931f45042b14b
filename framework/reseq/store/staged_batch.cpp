#include "reseq/store/staged_batch.hpp"

#include <algorithm>
#include <utility>

namespace reseq::store {

staged_shard* staged_batch::find(const owned_shard& shard) {
  const auto found = std::ranges::find_if(staged_, [&](const staged_shard& one) { return &one.shard() == &shard; });
  return found == staged_.end() ? nullptr : &*found;
}

staged_shard& staged_batch::stage(owned_shard& shard) {
  auto* const found = find(shard);
  return found != nullptr ? *found : staged_.emplace_back(shard);
}

std::vector<shard_committed> staged_batch::publish() {
  for (auto& staged : staged_) staged.publish();
  staged_.clear();
  return std::move(answers_);
}

void staged_batch::undo() {
  for (auto& staged : staged_) staged.undo();
  staged_.clear();
}

result<std::vector<shard_committed>> staged_batch::finish(result<void> durable) {
  if (durable) return publish();
  undo();
  return tl::unexpected(std::move(durable.error()));
}

} // namespace reseq::store

/// What a transaction that is under way has done to the memory of all its shards, and what is to be answered of it.
#pragma once

#include <deque>
#include <vector>

#include "reseq/model/error.hpp"
#include "reseq/store/journal.hpp"
#include "reseq/store/owned_shard.hpp"
#include "reseq/store/staged_shard.hpp"

namespace reseq::store {

/// Ends in `publish` or `undo`, at the latest by its destructor. When a commit is in doubt it waits, and with it its
/// shards, until it is known which.
class staged_batch {
public:
  staged_batch() = default;
  ~staged_batch() { undo(); }
  staged_batch(const staged_batch&) = delete;
  staged_batch& operator=(const staged_batch&) = delete;

  /// The shard's part, if it has one yet.
  [[nodiscard]] staged_shard* find(const owned_shard& shard);
  /// It stays where it is.
  staged_shard& stage(owned_shard& shard);
  [[nodiscard]] std::deque<staged_shard>& shards() { return staged_; }
  [[nodiscard]] const std::deque<staged_shard>& shards() const { return staged_; }

  /// The next part's answer: nothing, so far. `accepted` of it stays where it is once it is filled in.
  shard_committed& answer() { return answers_.emplace_back(); }

  /// It is durable: the answers, one for each part.
  [[nodiscard]] std::vector<shard_committed> publish();
  /// Nothing of it is.
  void undo();
  /// Whichever of the two it is.
  [[nodiscard]] result<std::vector<shard_committed>> finish(result<void> durable);

private:
  std::deque<staged_shard> staged_;
  std::vector<shard_committed> answers_;
};

} // namespace reseq::store

/// What a transaction that is under way has done to the memory of one shard: published once it is durable, undone if it
/// is not. For the writer's thread; the shard must outlive it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "reseq/core/records.hpp"
#include "reseq/core/sequencer.hpp"
#include "reseq/model/submission.hpp"
#include "reseq/store/owned_shard.hpp"

namespace reseq::store {

/// Of the ids of a batch, those that the journal has.
using known_ids = std::unordered_map<std::string, core::known_id>;

class staged_shard {
public:
  explicit staged_shard(owned_shard& shard)
    : shard_(&shard), last_before_(shard.heads.last), had_unrouted_(shard.has_unrouted) {}

  [[nodiscard]] owned_shard& shard() const { return *shard_; }
  /// The last position before this transaction; the shard's heads say what it is with it.
  [[nodiscard]] position last_before() const { return last_before_; }

  /// Decides over `wanted`, after everything that this transaction has done before.
  core::sequenced sequence(std::span<const submission> wanted, const known_ids& known);
  /// Takes over the progress that was written.
  void settle(const core::journal_change& change);
  /// A message was written. It stays where it is until `publish`. `id_key` if the id index is written behind.
  void stored(const core::accepted_message& what, std::optional<std::uint64_t> id_key = std::nullopt);
  void stored_unrouted() { shard_->has_unrouted = true; }
  /// Positions of messages, not in the table of ids, whose ids may be the one with this key.
  [[nodiscard]] std::vector<position> find(std::uint64_t id_key) const;
  /// What to write into the indexes by this transaction.
  const write_behind::slice& indexes();

  void undo();
  void publish();

private:
  struct moved {
    destination_id destination;
    core::heads::destination before;
    owned_shard::backlog backlog;
  };
  struct fresh_message {
    std::optional<std::uint64_t> id_key;
    const core::accepted_message* what;
  };

  void remember(destination_id destination);

  owned_shard* shard_;
  position last_before_;
  bool had_unrouted_;
  std::vector<moved> undo_; ///< newest last
  std::vector<fresh_message> fresh_;
  write_behind::slice indexes_;
  std::size_t submissions_ = 0;
};

} // namespace reseq::store

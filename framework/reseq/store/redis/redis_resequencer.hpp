/// The resequencer in Redis: for each lane two sorted sets, `pending` and `ready`; one hash with the shard's epoch and
/// where each lane stands, one with the results. All under one hash tag:
///
///     reseq:{orders:0}:shard                  epoch → 7, lane:billing → "epoch=7 version=1 step=42 reached=1024
///     released=17-20" reseq:{orders:0}:results                17.0 → a result reseq:{orders:0}:lane:billing:pending
///     17, 18, 19 … by sequence reseq:{orders:0}:lane:billing:ready
///
/// Every change is a script over a batch.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "reseq/model/ids.hpp"
#include "reseq/store/redis/client.hpp"
#include "reseq/store/resequencer.hpp"

namespace reseq::store::redis {

class redis_resequencer final : public resequencer {
public:
  /// Several shards may share a client, if they share its thread. Connects when it is used first. `origin`, a word,
  /// stands for the journal and the transforms that results are made of: those of others are not loaded.
  redis_resequencer(std::shared_ptr<client> through, const shard_id& shard, std::string origin);

  /// All take up to the client's timeout to connect, and once more for each round trip, of which `load` needs one for
  /// every few results; or nothing at all while the client waits after a failure.
  result<core::lanes_found> open(epoch ours, std::span<const core::lane_name> lanes) override;
  result<core::lanes_seen> look(std::span<const core::lane_name> lanes) override;
  result<core::lane_answers> apply(const core::lane_updates& updates) override;
  result<std::vector<core::stored_result>> load(std::span<const core::work_key> keys) override;

private:
  std::shared_ptr<client> client_;
  std::string prefix_; ///< of every key
  std::string origin_;
  epoch ours_;
  std::map<destination_id, std::string> lanes_; ///< their names
};

} // namespace reseq::store::redis

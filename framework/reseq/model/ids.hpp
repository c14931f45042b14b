/// The numbers that order and fence everything. `0` means "none yet" in each of them.
#pragma once

#include <string>

#include "reseq/model/strong.hpp"

namespace reseq {

/// A message's place in its shard's arrival order: dense from 1, assigned once, never reused.
using position = strong<struct position_tag>;

/// A message's place at one destination: dense from 1, assigned with the position, immutable.
using sequence = strong<struct sequence_tag>;

/// Fencing token of a shard's ownership; grows by one at each change of owner.
using epoch = strong<struct epoch_tag>;

/// Counts the tries of one chain of one message; the first is 1.
using attempt = strong<struct attempt_tag, std::uint32_t>;

/// One copy of a job on its way to a worker; never reused while a supervisor runs.
using dispatch_id = strong<struct dispatch_id_tag>;

/// A connected worker process; never reused while a supervisor runs.
using worker_id = strong<struct worker_id_tag>;

/// A destination's number in its shard's journal: small, dense from 1, stays for ever.
using destination_id = strong<struct destination_id_tag, std::uint32_t>;

/// The unit of ownership and order.
struct shard_id {
  std::string pipeline;
  std::uint32_t shard = 0;

  friend auto operator<=>(const shard_id&, const shard_id&) = default;
};

} // namespace reseq

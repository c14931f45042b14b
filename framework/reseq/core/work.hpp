/// A piece of work that lanes share, and what came of it.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <vector>

#include "reseq/model/ids.hpp"
#include "reseq/model/message.hpp"

namespace reseq::core {

/// Which of a message's chains: 0 is the common one, anything else the `destination_id` whose own chain it is.
using chain_index = strong<struct chain_index_tag, std::uint32_t>;

/// One chain of transforms for one message.
struct work_key {
  position at;
  chain_index chain;

  friend auto operator<=>(const work_key&, const work_key&) = default;
};

/// Numbers what a shard asks of its dispatcher. The answer names it: what was withdrawn meanwhile, and perhaps asked
/// again, is recognised by it. Counts modulo 2^32: a late answer is about one of the last.
using asking = strong<struct asking_tag, std::uint32_t>;

/// A chain's answer.
struct work_result {
  content_ptr body;                                   ///< null: dropped
  std::optional<std::vector<destination_id>> only_to; ///< narrowed to these; absent: as routed
};

} // namespace reseq::core

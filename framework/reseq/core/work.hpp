/// A piece of work that lanes share, and what came of it.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
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

/// Chains of one message, ascending. A single one, as most messages have, costs no allocation.
class chain_list {
public:
  chain_list() = default;
  chain_list(std::vector<chain_index> chains) : many_(std::move(chains)) {} // NOLINT(google-explicit-constructor)

  void push_back(chain_index chain) {
    if (size() == 0) {
      one_ = chain;
      has_one_ = true;
      return;
    }
    if (many_.empty()) many_.push_back(one_);
    many_.push_back(chain);
  }

  [[nodiscard]] std::size_t size() const { return all().size(); }
  [[nodiscard]] chain_index front() const { return all().front(); }
  [[nodiscard]] chain_index operator[](std::size_t nth) const { return all()[nth]; }
  [[nodiscard]] auto begin() const { return all().begin(); }
  [[nodiscard]] auto end() const { return all().end(); }

  friend bool operator==(const chain_list& a, const chain_list& b) { return std::ranges::equal(a, b); }

private:
  [[nodiscard]] std::span<const chain_index> all() const {
    if (!many_.empty()) return many_;
    return {&one_, has_one_ ? 1U : 0U};
  }

  chain_index one_;
  bool has_one_ = false;
  std::vector<chain_index> many_; ///< all of them, if there are more
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

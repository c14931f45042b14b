/// Another pipeline on the same workers, in short: its shard always wants its oldest few messages worked out.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "reseq/model/ids.hpp"

namespace reseq::simulation {

/// What of it is not done, whoever owns the shard.
class neighbour {
public:
  explicit neighbour(std::uint32_t messages) {
    for (std::uint32_t i = 1; i <= messages; ++i) undone_.emplace_back(i);
  }

  /// The oldest few that are not done, by ascending position.
  [[nodiscard]] std::span<const position> window() const {
    return std::span{undone_}.first(std::min<std::size_t>(undone_.size(), 8));
  }
  /// It was worked out, or given up.
  void done(position at) { std::erase(undone_, at); }
  [[nodiscard]] std::size_t left() const { return undone_.size(); }

private:
  std::vector<position> undone_;
};

} // namespace reseq::simulation

/// Where every random decision of a schedule comes from: a seed, or the tape of an earlier run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace reseq::simulation {

/// The choices of one schedule, recorded, so that it can be run again and made smaller. Zero is always the quiet
/// choice (no fault, the first in line, as few as possible): a tape that ends early goes on with zeros.
class choices {
public:
  /// Fresh ones; the same seed gives the same everywhere.
  explicit choices(std::uint64_t seed) : random_(seed) {}
  /// Those of `tape`, each brought into its range.
  explicit choices(std::vector<std::uint32_t> tape) : tape_(std::move(tape)), replaying_(true) {}

  /// A number below `bound` (at least 1).
  std::uint32_t below(std::uint32_t bound);
  /// A number from `low` to `high`.
  std::uint32_t between(std::uint32_t low, std::uint32_t high) { return low + below(high - low + 1); }
  /// True in `permille` of a thousand cases.
  bool chance(std::uint32_t permille) { return permille > 0 && below(1000) >= 1000 - permille; }

  /// What was chosen so far, or what is replayed.
  [[nodiscard]] const std::vector<std::uint32_t>& tape() const { return tape_; }

private:
  std::vector<std::uint32_t> tape_;
  std::size_t next_ = 0;
  std::uint64_t random_ = 0;
  bool replaying_ = false;
};

} // namespace reseq::simulation

/// Running single schedules, and making a failing one smaller.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace reseq::simulation {

using tape = std::vector<std::uint32_t>;

struct outcome {
  std::string broken;  ///< the first broken promise; empty when all were kept
  std::string promise; ///< its name
  std::uint64_t steps = 0;
  tape choices;
  std::vector<std::string> story; ///< empty unless it was wanted
};

outcome run_seed(std::uint64_t seed, bool with_story = false);
outcome run_tape(const tape& recorded, bool with_story = false);

/// The smallest schedule found in `limit` that still breaks the same promise.
tape shrink(const outcome& failing, std::chrono::seconds limit);

} // namespace reseq::simulation

/// Running single schedules, and making a failing one smaller.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
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

/// The smallest schedule found in `limit` of which `fails` still holds, as it does of the first.
tape shrink(const tape& first, std::function<bool(const tape&)> fails, std::chrono::seconds limit);

} // namespace reseq::simulation

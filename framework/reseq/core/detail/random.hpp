/// Random numbers from a seed, the same ones everywhere.
#pragma once

#include <cstddef>
#include <cstdint>

namespace reseq::core::detail {

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014). The standard
/// distributions differ between libraries, and a seed has to mean the same everywhere.
class random_numbers {
public:
  explicit random_numbers(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    auto z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31U);
  }

  /// Below `bound`, which is at least 1 and at most 2^32.
  std::size_t below(std::size_t bound) {
    return static_cast<std::size_t>(((next() >> 32U) * static_cast<std::uint64_t>(bound)) >> 32U);
  }

  /// At least 0, and less than 1.
  double share() { return static_cast<double>(next() >> 11U) * 0x1p-53; }

private:
  std::uint64_t state_;
};

} // namespace reseq::core::detail

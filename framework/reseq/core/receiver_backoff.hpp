/// How long a receiver that fails is left alone.
#pragma once

#include <cstdint>

#include "reseq/core/detail/random.hpp"
#include "reseq/model/clock.hpp"

namespace reseq::core {

/// Waits of 100 ms doubling up to a longest one, times 0.5 to 1 at random; a receiver's own longer wish is respected up
/// to one hour.
class receiver_backoff {
public:
  receiver_backoff(duration longest, std::uint64_t seed) : longest_(longest), seed_(seed), random_(seed) {}

  /// The wait after that many failures in a row before this one.
  duration after(std::uint32_t failures, duration wish);

  /// A number that is another one for each `nth`, and for each seed.
  [[nodiscard]] std::uint64_t draw(std::uint64_t nth) const;

private:
  duration longest_;
  std::uint64_t seed_;
  detail::random_numbers random_;
};

} // namespace reseq::core

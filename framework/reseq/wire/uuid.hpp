/// Ids for messages whose producer gave none: UUIDs that sort by the time they were made (RFC 9562, version 7).
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

#include "reseq/model/clock.hpp"

namespace reseq::wire {

/// The UUID of that millisecond and those random bits, in its usual form of 36 characters, in lower case.
/// `now` must not be before 1970; six of the random bits make room for version and variant.
std::string uuid_v7(wall_time now, const std::array<std::uint8_t, 10>& random);

/// A row of such UUIDs, each greater than the one before, also within one millisecond and when the clock goes back
/// (RFC 9562, section 6.2, method 2: what is random grows by a random step). Not thread-safe.
class uuid_v7_row {
public:
  /// `random` is as random as the UUID shall be hard to guess.
  std::string next(wall_time now, const std::array<std::uint8_t, 10>& random);

private:
  wall_time last_{std::chrono::milliseconds{-1}};
  std::array<std::uint8_t, 10> random_{};
};

/// The next one of this process, of the system's clock and random numbers: greater than each that was returned before
/// it was asked for. Any thread.
std::string make_uuid();

} // namespace reseq::wire

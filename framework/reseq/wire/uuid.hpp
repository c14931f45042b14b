/// Ids for messages whose producer gave none: UUIDs that sort by the time they were made (RFC 9562, version 7).
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "reseq/model/clock.hpp"

namespace reseq::wire {

/// The UUID of that millisecond and those random bits, in its usual form of 36 characters, in lower case.
/// `now` must not be before 1970; six of the random bits make room for version and variant.
std::string uuid_v7(wall_time now, const std::array<std::uint8_t, 10>& random);

/// One of the system's clock and random numbers. Any thread.
std::string make_uuid();

} // namespace reseq::wire

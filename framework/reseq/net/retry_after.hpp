/// The header `Retry-After` (RFC 9110 §10.2.3).
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "reseq/model/clock.hpp"

namespace reseq::net {

/// What is longer, centuries among it, is read as this much.
inline constexpr duration longest_retry_after = std::chrono::hours{24 * 365};

/// How long to wait, from `now` on: seconds, or a date in any of the three formats that RFC 9110 §5.6.7 wants to be
/// understood. Nothing for what is neither, and for dates that are over. In whatever locale the process runs.
std::optional<duration> read_retry_after(std::string_view value, wall_time now);

} // namespace reseq::net

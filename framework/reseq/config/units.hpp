/// Durations and sizes as people write them: a whole number and a unit.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"

namespace reseq::config {

/// "750ms": units ns, us, ms, s, m, h, d; zero or more, up to 292 years. Fails with `invalid`.
result<duration> parse_duration(std::string_view text);

/// "16MiB": units B, KiB, MiB, GiB, TiB, and kB, MB, GB, TB by thousands; up to 2^63 - 1. Fails with `invalid`.
result<std::uint64_t> parse_size(std::string_view text);

/// The shortest text that `parse_duration` reads as exactly this much; `value` is not negative.
std::string format_duration(duration value);

/// The shortest text with a binary unit that `parse_size` reads as exactly this many bytes.
std::string format_size(std::uint64_t bytes);

} // namespace reseq::config

/// Time as the state machines see it: always an argument, never read by them.
#pragma once

#include <chrono>

namespace reseq {

using duration = std::chrono::nanoseconds;

/// A monotonic instant. The programs take it from `std::chrono::steady_clock`, the tests make it up.
using time_point = std::chrono::time_point<std::chrono::steady_clock, duration>;

/// Wall-clock time, for people and records only; never for ordering or timeouts.
using wall_time = std::chrono::sys_time<std::chrono::milliseconds>;

/// The same, as exact as the host's clock: for measuring what may span processes.
using exact_wall_time = std::chrono::sys_time<std::chrono::nanoseconds>;

} // namespace reseq

/// How a supervisor ends when somebody else owns what it owned.
#pragma once

#include <string_view>

namespace reseq::actors {

/// The exit code: to be started again would take everything back from the other one.
inline constexpr int taken_over = 3;

/// Logs why and ends the process at once, before anything else is sent or written: what is durable is the later
/// owner's.
[[noreturn]] void step_down(std::string_view why);

} // namespace reseq::actors

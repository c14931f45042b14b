/// How a supervisor ends when somebody else owns what it owned.
#pragma once

#include <string_view>

namespace reseq::actors {

/// Logs why and ends the process at once, before anything else is sent or written: what is durable is the later
/// owner's.
[[noreturn]] void step_down(std::string_view why);

} // namespace reseq::actors

#include "actors/watch.hpp"

#include <cstdlib>

#include <spdlog/spdlog.h>

namespace reseq::actors {

void escalation::end_the_process(const std::string& whose, const caf::error& why) {
  spdlog::critical("{} actor ended unexpectedly ({}): this process ends, to be started again", whose,
                   caf::to_string(why));
  std::_Exit(1);
}

} // namespace reseq::actors

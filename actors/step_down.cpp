#include "actors/step_down.hpp"

#include <cstdlib>

#include <spdlog/spdlog.h>

namespace reseq::actors {

void step_down(std::string_view why) {
  spdlog::critical("stepping down: {}; this supervisor stops, the other one goes on", why);
  std::_Exit(taken_over);
}

} // namespace reseq::actors

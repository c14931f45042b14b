#include "actors/divergences.hpp"

#include <utility>

namespace reseq::actors {

void divergences::note(const std::string& pipeline, std::string why) {
  const std::lock_guard hold{mutex_};
  why_.try_emplace(pipeline, std::move(why));
}

std::map<std::string, std::string> divergences::all() const {
  const std::lock_guard hold{mutex_};
  return why_;
}

} // namespace reseq::actors

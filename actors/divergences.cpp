#include "actors/divergences.hpp"

#include <utility>

namespace reseq::actors {

void divergences::note(const std::string& pipeline, std::string why) {
  const std::lock_guard hold{mutex_};
  why_.try_emplace(pipeline, std::move(why));
}

void divergences::note_known_here_alone(const std::string& pipeline, std::string why) {
  note(pipeline, std::move(why));
  const std::lock_guard hold{mutex_};
  known_here_alone_.insert(pipeline);
}

void divergences::recovered(const std::string& pipeline) {
  const std::lock_guard hold{mutex_};
  known_here_alone_.erase(pipeline);
}

std::set<std::string> divergences::known_here_alone() const {
  const std::lock_guard hold{mutex_};
  return known_here_alone_;
}

std::map<std::string, std::string> divergences::all() const {
  const std::lock_guard hold{mutex_};
  return why_;
}

} // namespace reseq::actors

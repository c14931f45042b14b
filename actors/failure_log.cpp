#include "actors/failure_log.hpp"

#include <utility>

namespace reseq::actors {
namespace {

constexpr duration told_again_after = std::chrono::minutes{1};
constexpr std::size_t max_causes = 8;

} // namespace

bool failure_log::failed(destination_id destination, const std::string& why, time_point now) {
  auto& of = of_[destination];
  if (of.told == why && !why.empty()) return false;
  if (of.heard.empty() || now - of.since >= told_again_after) {
    of.since = now;
    of.heard.clear();
  }
  if (of.heard.size() == max_causes || !of.heard.insert(why).second) return false;
  of.told = why;
  return true;
}

bool failure_log::worked(destination_id destination) {
  const auto of = of_.find(destination);
  return of != of_.end() && !std::exchange(of->second.told, {}).empty();
}

} // namespace reseq::actors

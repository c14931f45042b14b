#include "targets.hpp"

#include <algorithm>
#include <iterator>

namespace reseq::fuzz {

const std::vector<target>& targets() {
  static const std::vector<target> all = [] {
    std::vector<target> joined;
    for (const auto part : {http_targets, edge_targets, wire_targets, config_targets, store_targets})
      std::ranges::move(part(), std::back_inserter(joined));
    return joined;
  }();
  return all;
}

const target& target_called(std::string_view name) {
  for (const auto& one : targets())
    if (one.name == name) return one;
  throw std::invalid_argument("no fuzz target is called " + std::string(name));
}

} // namespace reseq::fuzz

#include "reseq/pipeline/outcome.hpp"

#include <algorithm>

namespace reseq {

void narrow(std::optional<destination_names>& current, const std::optional<destination_names>& further) {
  if (!further) return;
  if (!current) {
    current = further;
    return;
  }
  std::erase_if(*current, [&](const std::string& name) { return std::ranges::find(*further, name) == further->end(); });
}

} // namespace reseq

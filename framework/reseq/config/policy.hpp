/// What keys may not say together.
#pragma once

#include <string>
#include <vector>

#include "reseq/config/findings.hpp"

namespace reseq::config {

/// Checks everything that needs more than one key, and once more each key of each pipeline, because C++ may have
/// composed it. `transforms`: as in `source`. Keys that already have a problem are passed over.
void check_policy(const settings& all, const std::vector<std::string>& transforms, findings& found);

} // namespace reseq::config

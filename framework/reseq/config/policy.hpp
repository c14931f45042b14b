/// What keys may not say together.
#pragma once

#include "reseq/config/findings.hpp"

namespace reseq::config {

/// Checks everything that needs more than one key, and once more each key of each pipeline, because C++ may have
/// composed it, and that there is what `from.reader` needs. Keys that already have a problem are passed over.
void check_policy(const settings& all, const source& from, findings& found);

} // namespace reseq::config

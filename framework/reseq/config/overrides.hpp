/// Single keys from outside of the file: `--set` and the environment.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "reseq/config/findings.hpp"

namespace reseq::config {

/// Each RESEQ_ variable that names a key outside of lists sets it; others are problems.
void apply_environment(const std::map<std::string, std::string>& environment, settings& into, findings& found);

/// Each KEY=VALUE sets a key by its dotted path, members of lists by name, transforms by what they use. Members are
/// never added, and never renamed.
void apply_sets(const std::vector<std::string>& sets, settings& into, findings& found);

} // namespace reseq::config

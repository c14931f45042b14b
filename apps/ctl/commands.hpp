/// What each command of `reseqctl` does.
#pragma once

#include <functional>
#include <istream>
#include <string>

#include "ctl/api.hpp"
#include "ctl/options.hpp"
#include "ctl/send.hpp"

namespace reseq::ctl {

/// The world outside, so that tests can make one up.
struct surroundings {
  exchange supervisor;
  pace time;
  std::function<wall_time()> clock;
  std::istream& input;                            ///< for `send` without a file
  std::function<void(const std::string&)> notice; ///< tells the user something on the way
};

/// Carries the command out and returns what to print. Blocks; never throws.
result<std::string> run(const options& what, const surroundings& outside);

} // namespace reseq::ctl

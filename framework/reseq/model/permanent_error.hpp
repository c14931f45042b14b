/// How a transform, or a destination that is a function, says that a message will never do.
#pragma once

#include <stdexcept>

namespace reseq {

/// Thrown by a transform when trying again cannot help: the remaining attempts are skipped. Any other exception is
/// a failed attempt, tried again as the pipeline's retry settings say. Thrown by a destination's function, the message
/// is refused.
class permanent_error : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

} // namespace reseq

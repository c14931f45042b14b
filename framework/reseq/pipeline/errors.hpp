/// How a transform reports failure.
#pragma once

#include <stdexcept>

namespace reseq {

/// Thrown by a transform when trying again cannot help: the remaining attempts are skipped. Any other exception is
/// a failed attempt, tried again as the pipeline's retry settings say.
class permanent_error : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

} // namespace reseq

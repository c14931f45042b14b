/// A broken promise of the README: thrown where it is seen, it ends the schedule.
#pragma once

#include <stdexcept>
#include <string>

namespace reseq::simulation {

class violation : public std::runtime_error {
public:
  /// `promise` names the invariant, `what` says how it was broken.
  violation(const char* promise, const std::string& what)
    : std::runtime_error(std::string{promise} + ": " + what), promise_(promise) {}

  [[nodiscard]] const char* promise() const { return promise_; }

private:
  const char* promise_;
};

/// `what` is a function that says how the promise was broken: called only then.
template <class What>
void require(bool holds, const char* promise, const What& what) {
  if (!holds) throw violation(promise, what());
}

} // namespace reseq::simulation

/// An ordered list of transforms that takes a message to its outcome.
#pragma once

#include <string>
#include <vector>

#include "reseq/model/ids.hpp"
#include "reseq/model/message.hpp"
#include "reseq/pipeline/outcome.hpp"
#include "reseq/pipeline/step.hpp"

namespace reseq {

/// An immutable chain; cheap to copy, safe to run from many threads at once.
class chain {
public:
  /// The identity: hands the message's content on without copying it.
  chain() = default;

  /// `steps` fit: the first takes a message, and so may later ones; whatever stands before such a step, or last, can
  /// finish as content.
  explicit chain(std::vector<step> steps);

  /// Runs the transforms over `source` (not null), on the calling thread, for as long as they take. Throws nothing that
  /// they throw: an exception is a `failed` that begins with the transform's name, permanent for `permanent_error`.
  /// A `produced` always has a body; it may share memory with `source`.
  [[nodiscard]] outcome run(const message_ptr& source, attempt number) const;

  /// 16 hexadecimal digits over the steps' names, types, versions and order; never over code. Equal in every program
  /// built for the same C++ ABI.
  [[nodiscard]] std::string fingerprint() const;

  [[nodiscard]] const std::vector<step>& steps() const { return steps_; }
  [[nodiscard]] bool empty() const { return steps_.empty(); }

private:
  std::vector<step> steps_;
};

/// `original` with its content replaced by `body`, id and key kept: how a destination's own chain, or the next
/// transform that takes a message, sees a result. `original` itself when `body` is its own content.
[[nodiscard]] message_ptr present(const message_ptr& original, const content_ptr& body);

/// `original`'s content, sharing its memory.
[[nodiscard]] content_ptr content_of(const message_ptr& original);

} // namespace reseq

/// Errors as values: what went wrong, where, and whether trying again can help.
#pragma once

#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace reseq {

enum class errc {
  invalid,       ///< the input is wrong; the same input will be wrong again
  too_large,     ///< the input is larger than what is configured to be taken
  unprocessable, ///< well formed, but names what does not exist, or reuses an id for other content
  not_found,     ///< what was named does not exist
  conflict,      ///< what was asked contradicts what is recorded
  unavailable,   ///< a store, a peer or a file is away; may come back by itself
  full,          ///< a bounded queue or backlog is full; room comes as it drains
  no_space,      ///< the disk is full; may come back by itself
  fenced,        ///< a later owner exists: stop, change nothing
  diverged,      ///< a store has gone backwards: stop, change nothing
  in_doubt,      ///< a commit may or may not have happened; look before doing it again
  corrupt,       ///< what was read cannot be what was written
  incompatible,  ///< written by another version, or in use by somebody else
  internal,      ///< a defect of this program
};

struct error {
  errc code = errc::internal;
  std::string what;  ///< one sentence for a person, without secrets
  std::string where; ///< file, field, key or operation; may be empty

  /// Whether the same call may succeed later without anybody changing it.
  [[nodiscard]] bool transient() const {
    return code == errc::unavailable || code == errc::no_space || code == errc::in_doubt;
  }

  /// "where: what", or "what" alone.
  [[nodiscard]] std::string text() const { return where.empty() ? what : where + ": " + what; }
};

template <class T>
using result = tl::expected<T, error>;

/// `return fail(errc::invalid, "…", "field");` from any function that returns a `result`.
inline tl::unexpected<error> fail(errc code, std::string what, std::string where = {}) {
  return tl::unexpected<error>(error{code, std::move(what), std::move(where)});
}

} // namespace reseq

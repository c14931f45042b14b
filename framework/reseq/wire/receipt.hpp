/// What producers and other clients are answered: receipts, and problems after RFC 9457.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "reseq/model/error.hpp"
#include "reseq/model/submission.hpp"

namespace reseq::wire {

/// The media type of a `problem`.
constexpr std::string_view problem_type = "application/problem+json";

/// Why a request, or one message of a batch, was not served.
struct problem {
  unsigned status = 500;                 ///< the HTTP status; in a batch, of this line
  std::string title;                     ///< the status in words
  std::string detail;                    ///< one sentence for a person, without secrets
  std::string field;                     ///< header, field or line that is wrong; may be empty
  std::optional<unsigned> retry_after_s; ///< also for the header `Retry-After`

  friend bool operator==(const problem&, const problem&) = default;
};

/// A problem with the title that belongs to `status`; 429 and 503 may be tried again after a second.
problem make_problem(unsigned status, std::string detail, std::string field = {});

/// What a client is told about an error inside:
///
/// | error | status |
/// |---|---|
/// | `invalid` | 400 |
/// | `not_found` | 404 |
/// | `too_large` | 413 |
/// | `unprocessable`, `conflict` | 422 |
/// | `full` | 429 |
/// | `unavailable`, `fenced`, `in_doubt` | 503: another owner, or the same a moment later, can answer |
/// | `no_space` | 507 |
/// | `corrupt`, `incompatible`, `internal` | 500 |
problem problem_of(const error& e);

/// `{"id":"…","duplicate":false,"positions":[{"shard":0,"position":17}]}` on one line without its end; no
/// positions when no route wanted the message. A batch's answer is a receipt or a problem a line, in order.
std::string to_json(const receipt& r);
void append_json(std::string& out, const receipt& r);

/// `{"type":"about:blank","title":"…","status":400,"detail":"…"}` on one line without its end, followed by `"field"`
/// and `"retry_after"` (seconds) where they are known.
std::string to_json(const problem& p);

} // namespace reseq::wire

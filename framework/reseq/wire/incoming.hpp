/// What producers send, read from a request or a batch: bounded, checked, not yet routed.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reseq/model/error.hpp"
#include "reseq/model/message.hpp"
#include "reseq/model/submission.hpp"

namespace reseq::wire {

constexpr std::size_t max_id_bytes = 255;
constexpr std::size_t max_key_bytes = 1024;
constexpr std::size_t max_header_bytes = std::size_t{64} * 1024; ///< names and values of one message together

/// One message as its producer meant it.
struct incoming {
  std::string id;  ///< 1 to 255 printable ASCII characters, no blank first or last; made if the producer gave none
  std::string key; ///< UTF-8; empty: none
  /// Names as requested, ascending and unique, at least one; absent: the pipeline's route decides.
  std::optional<std::vector<std::string>> destinations;
  /// With all the producer's headers, for routing to look at; without those that log the producer in.
  content body;
  std::string pipeline; ///< named by an envelope; empty: the request's or the connection's
};

/// Bounds of a batch.
struct limits {
  std::size_t max_message; ///< of one payload, in bytes
  std::size_t max_lines;   ///< messages in a batch
};

/// One message as the body of an HTTP request; `body` is kept byte for byte and bounded by the caller.
///
/// The id is `Idempotency-Key`, without the quotes around it; else CloudEvents' `ce-source`, a space and `ce-id` (its
/// SHA-256 in hexadecimal if that makes no id: over 255 characters, or some not printable ASCII); else a new UUIDv7.
/// `Reseq-Key` is the key, `Reseq-Destinations` the destinations, with commas between them. Headers that there may be
/// only one of are refused when there are two, and so is a `Reseq-` header that neither a message nor a delivery has.
/// Errors: `errc::invalid`, `errc::too_large`; `where` is the header.
result<incoming> from_http(const header_list& headers, std::string body);

/// The headers of a request with a batch say nothing of its messages: those that would of a single one are refused, and
/// so is any `Reseq-` header that a delivery does not have. `errc::invalid`; `where` is the header.
result<void> check_batch_headers(const header_list& headers);

/// A batch: an envelope a line, `{"id","key","pipeline","destinations":[…],"headers":{…},"payload":…}`, where
/// `"payload_base64"` may take the place of `"payload"`, which must be there, and all else may be missing.
///
/// | field | becomes the payload | content type, unless `headers` has a `content-type` |
/// |---|---|---|
/// | `payload`, a string | its text in UTF-8 | `text/plain; charset=utf-8` |
/// | `payload`, anything else | the JSON as written, without insignificant white space | `application/json` |
/// | `payload_base64` | the bytes | `application/octet-stream` |
///
/// An id that is missing is made as for HTTP, from `ce-source` and `ce-id` among `headers` if they are there. Empty
/// lines are skipped; no line at all is an empty batch. Unknown fields, fields given twice and everything malformed
/// fail the whole batch: `errc::invalid`, or `errc::too_large` for a payload, a message's headers or the number of
/// lines; so does a header that is a field of an envelope. `where` says "line 3: payload", counted from 1 with the
/// empty ones.
result<std::vector<incoming>> from_ndjson(std::string_view body, const limits& bounds);

/// What tells two messages under one id apart (see `digest`). Journals keep it: it never changes for the same input.
digest fingerprint(const incoming& message);

} // namespace reseq::wire

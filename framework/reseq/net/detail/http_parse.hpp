/// The heads of HTTP/1.x messages: where they end and what they say. Pure; strict where leniency lets two programs read
/// one message differently (RFC 9112 §11).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "reseq/net/http.hpp"

namespace reseq::net::detail {

inline constexpr std::size_t max_head_bytes = 32U << 10U;
inline constexpr std::size_t max_start_line_bytes = 8U << 10U;
inline constexpr std::size_t max_head_fields = 256;

/// Why a message cannot be read: the status a server answers with, and a sentence that repeats no bytes of the message
/// other than tokens.
struct protocol_error {
  unsigned status = 400;
  std::string detail;
};

template <class T>
using parsed = tl::expected<T, protocol_error>;

/// Finds the end of a head that arrives piece by piece, looking at each byte once.
class head_scanner {
public:
  /// `data` is everything of the head so far: what the last call saw, and more. Returns the size of the head with the
  /// empty line that ends it, or 0 while that has not come. Errors: bare line feeds (400), a start line (414) or head
  /// (431) that is too long.
  parsed<std::size_t> scan(std::string_view data);

private:
  std::size_t scanned_ = 0; ///< a line starts here, or has been searched up to here
  std::size_t line_ = 0;    ///< where the unfinished line starts
};

/// How the end of a body is known.
struct body_framing {
  enum class kind { none, length, chunked, until_close };
  kind by = kind::none;
  std::uint64_t length = 0; ///< with `kind::length`
};

struct request_head {
  http_request request; ///< without body, connection and peer
  body_framing body;
  bool http_1_0 = false;
  bool keep_alive = true;
  bool expects_continue = false;
};

/// Reads a whole head as `head_scanner` delimits it. Statuses: 400, 411, 417, 431, 501, 505.
parsed<request_head> parse_request_head(std::string_view head);

struct response_head {
  unsigned status = 0;
  header_list headers;
  body_framing body;
  bool keep_alive = true;
};

/// Reads a whole head; `request_method` tells whether a body follows. The status of an error means nothing here.
parsed<response_head> parse_response_head(std::string_view head, std::string_view request_method);

/// Whether all characters may stand in a header name or method, and there is one.
bool is_token(std::string_view text);

} // namespace reseq::net::detail

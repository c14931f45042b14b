/// Requests and answers as values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "reseq/model/message.hpp"

namespace reseq::net {

/// A request as a server received it; framing is checked, the rest is as the client sent it.
struct http_request {
  std::string method; ///< GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS
  std::string path;   ///< starts with "/" (or is "*", with OPTIONS); still percent-encoded
  std::string query;  ///< what follows "?", without it; still percent-encoded
  header_list headers;
  std::string body;
  std::uint64_t connection = 0; ///< unique among the connections of one server; never reused
  std::string peer;             ///< "127.0.0.1:52114" or "[::1]:52114"
};

/// What to answer. Length, date and connection headers are written by the server and left out of `headers`, as are
/// headers whose name is no token; control characters in values become spaces.
struct http_response {
  unsigned status = 200; ///< 200 to 599
  std::string content_type;
  header_list headers;
  std::string body;
  bool close = false;         ///< close the connection after this answer
  bool close_if_last = false; ///< the same, unless a further request has begun to arrive
};

/// "Not Found" for 404; "Status" for numbers without a registered phrase.
std::string_view reason_phrase(unsigned status);

} // namespace reseq::net

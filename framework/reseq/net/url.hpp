/// Addresses as people write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "reseq/model/error.hpp"

namespace reseq::net {

/// Where to listen or to connect.
struct host_port {
  std::string host; ///< a name, an IPv4 address, or an IPv6 address without brackets
  std::uint16_t port = 0;

  /// "host:port", with brackets around an IPv6 address.
  [[nodiscard]] std::string text() const;
};

/// Reads "127.0.0.1:8080", "localhost:8080" or "[::1]:8080"; port 0 is allowed. `errc::invalid` says what is wrong.
result<host_port> parse_host_port(std::string_view text);

struct url {
  std::string scheme;     ///< "http" or "https"
  std::string host;       ///< without the brackets of an IPv6 address
  std::uint16_t port = 0; ///< the scheme's own when the text names none
  std::string target;     ///< path and query as they stand in a request; at least "/"

  /// "http://host:port": what a connection is for, without secrets that a query may hold.
  [[nodiscard]] std::string origin() const;
  /// What goes into the Host header: without the scheme's own port.
  [[nodiscard]] std::string authority() const;
};

/// Reads an absolute http or https URL. `errc::invalid` for other schemes, user names and passwords, fragments, spaces,
/// control and non-ASCII characters, and ports outside 1 to 65535.
result<url> parse_url(std::string_view text);

} // namespace reseq::net

/// Where a Redis is, as people write it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reseq/model/error.hpp"

namespace reseq::store::redis {

struct server_address {
  std::string host;
  std::uint16_t port = 0;

  friend bool operator==(const server_address&, const server_address&) = default;
};

struct server_url {
  enum class kind { tcp, unix_socket, sentinel };

  kind how = kind::tcp;
  std::vector<server_address> hosts; ///< the server's, or the sentinels'; empty for a socket
  std::string path;                  ///< of the socket
  std::string master;                ///< what the sentinels call it
  std::string user;                  ///< empty: the default one
  std::string password;              ///< empty: none
  std::string sentinel_user;         ///< empty: the default one
  std::string sentinel_password;     ///< empty: none
  std::uint32_t database = 0;
  bool encrypted = false; ///< everything, the sentinels too, over TLS

  /// For logs: without user and password.
  [[nodiscard]] std::string text() const;
};

/// Reads
///
///     redis://[[user]:password@]host[:port][/database]       port 6379
///     rediss://…                                             the same over TLS, where hiredis has it
///     unix://[[user]:password@]/path[?db=database]
///     redis-sentinel://[[user]:password@]host[:port][,host[:port]…]/master[/database]   port 26379
///                      … and at its end [?sentinel=[user:]password]
///     rediss-sentinel://…                                    the same over TLS, sentinels and servers: each has a
///                      certificate for the name or the address by which it is known, here or to the sentinels
///
/// User and password may be percent-encoded; `redis://secret@host` is a password, too. They are those of the server;
/// sentinels may have others. `errc::invalid` says what is wrong, and never quotes what
/// may be a secret.
result<server_url> parse_server_url(std::string_view text);

} // namespace reseq::store::redis

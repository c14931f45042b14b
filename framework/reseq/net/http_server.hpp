/// An HTTP/1.1 server: requests go to one handler, which may answer at once or later, from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/net/http.hpp"
#include "reseq/net/loop.hpp"

namespace reseq::net {

namespace detail {
class server_core;
}

struct server_options {
  std::string host = "127.0.0.1"; ///< an address (IPv6 with or without brackets) or a name
  std::uint16_t port = 0;         ///< 0: any free one

  std::uint64_t max_body = 16U << 20U; ///< largest body of any route, in bytes; beyond it: 413

  /// Bytes of bodies over all connections, from the header until the answer. A body is charged its Content-Length; what
  /// does not fit is not read until it does, and after two body timeouts answered 503. One that comes in chunks is
  /// charged as it grows, at most twice what has come, and answered 503 at once when it cannot grow any further. A
  /// single body larger than all of this is read when nothing else is; the first 4 KiB of each are free.
  std::uint64_t max_buffered = 256U << 20U;

  /// Bytes that requests take beside their bodies while they are handled, over all connections. A request whose body is
  /// there waits until its `handling_cost` fits, or nothing else is handled; after two body timeouts it is answered
  /// 503.
  std::uint64_t max_handling = 64U << 20U;

  /// Beyond it, connections are answered 503 and closed; when even those pile up, nothing is accepted for a while.
  std::uint32_t max_connections = 10'000;

  duration header_timeout = std::chrono::seconds{10}; ///< from a header's first byte to its last; then 408
  duration body_timeout = std::chrono::seconds{30}; ///< for each further KiB of a body (while others wait for its room:
                                                    ///< MiB), or its end; then 408
  duration idle_timeout = std::chrono::seconds{75}; ///< between requests; then the connection is closed
  duration write_timeout = std::chrono::seconds{30}; ///< without progress in writing; then it is reset

  /// A route's own limit in bytes, asked once the header is read; `max_body` holds besides. Empty: `max_body` alone.
  std::function<std::uint64_t(std::string_view method, std::string_view path)> body_limit;

  /// What a request takes of `max_handling`, until it is answered. Empty: nothing. Like `body_limit`.
  std::function<std::uint64_t(const http_request& whole)> handling_cost;

  /// Asked after the header, before "100 Continue" and the body; `head.body` is empty. An answer refuses the request
  /// without reading its body; if it has one, the connection closes. Empty: all are admitted. Like `body_limit`, runs
  /// on the loop's thread and must not block.
  std::function<std::optional<http_response>(const http_request& head)> admit;
};

/// Answers one request. Copyable; any thread; only the first call counts. When every copy is gone unanswered, the
/// client gets 503. May outlive connection, server and loop: answering then does nothing.
class responder {
public:
  /// Told once: the answer, or nothing when every copy was dropped. On the thread of whoever answered or dropped.
  using sink = std::function<void(std::optional<http_response>)>;

  /// Servers make these; tests of handlers may, too.
  explicit responder(sink answered);

  void operator()(http_response answer) const;

private:
  struct ticket;
  std::shared_ptr<ticket> ticket_;
};

/// Listens on one address. On each connection requests are handled one at a time, in the order they came; reading goes
/// no further than a small buffer past the request that is under way. All functions: any thread.
class http_server {
public:
  /// Takes one request; on the loop's thread: must not block, must not throw.
  using handler = std::function<void(http_request, responder)>;
  /// Told on the loop's thread when a connection is gone, whether or not it ever sent a request.
  using closed_handler = std::function<void(std::uint64_t connection)>;
  /// Makes the body of the server's own errors (400, 408, 411, 413, 414, 417, 431, 501, 503, 505).
  using problem_renderer = std::function<http_response(unsigned status, std::string detail)>;

  /// Binds and listens at once, so that clients can connect when it returns; serves once the loop runs. An address that
  /// is in use (`errc::incompatible`), not this machine's or not allowed (`errc::invalid`) is named in the error.
  /// Without `problem`, errors are rendered as application/problem+json.
  static result<std::unique_ptr<http_server>> listen(loop& on, server_options options, handler handle,
                                                     closed_handler closed = {}, problem_renderer problem = {});

  /// Closes every connection as it is. No callback runs during or after it.
  ~http_server();
  http_server(const http_server&) = delete;
  http_server& operator=(const http_server&) = delete;

  /// The port in use: the one asked for, or the one that was free.
  [[nodiscard]] std::uint16_t port() const;

  /// Closes the listener. Requests that are being handled go on, and their answers say "Connection: close"; those that
  /// have not come whole are answered 503; connections between requests are closed.
  void stop_accepting();

  /// Calls `done` once, on the loop's thread, as soon as no request is under way and every answer is out: its client
  /// has closed the connection, or has had a second for it since the server stops, or five.
  void drained(std::function<void()> done);

private:
  http_server(loop& on, std::shared_ptr<detail::server_core> core);

  loop* loop_;
  std::shared_ptr<detail::server_core> core_;
};

} // namespace reseq::net

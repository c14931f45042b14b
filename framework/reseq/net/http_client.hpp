/// An HTTP/1.1 client: one connection to one origin, kept open, one request at a time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/model/message.hpp"
#include "reseq/net/loop.hpp"
#include "reseq/net/url.hpp"

namespace reseq::net {

namespace detail {
class client_core;
}

struct client_limits {
  std::size_t keep_body = 64U << 10U;       ///< bytes of an answer's body that are kept
  std::size_t read_body = 1U << 20U;        ///< beyond this many, the rest is not read and the connection closes
  duration idle = std::chrono::seconds{60}; ///< a connection that had no request for so long is closed
};

struct client_request {
  std::string method = "POST";
  std::string target;       ///< path and query; empty: those of the client's URL
  std::string content_type; ///< empty: none is sent, unless `headers` holds one
  header_list headers;      ///< framing and connection headers among them, and names that are no token, are left out;
                            ///< control characters in values become spaces
  std::shared_ptr<const std::string> body; ///< null: empty
};

struct client_answer {
  unsigned status = 0; ///< 200 to 999; redirects are not followed
  header_list headers;
  std::string body;       ///< at most `client_limits::keep_body` bytes
  bool truncated = false; ///< the body was longer
  bool early = false;     ///< came before all of the request was sent: whoever answered had not got all of it
};

/// Connects when first needed and again whenever the connection is gone. All functions: any thread.
class http_client {
public:
  /// On the loop's thread, once for each request, never from inside the call that made it.
  /// `errc::unavailable`: not resolved, refused, no answer in time, reset, closed before the answer was complete,
  /// malformed answer, or `close`; `errc::invalid`: a URL this client cannot speak to; `errc::internal`: a request is
  /// under way already.
  using done_handler = std::function<void(result<client_answer>)>;

  http_client(loop& on, url origin, client_limits limits = {});

  /// Closes the connection. A request under way is forgotten: no callback runs during or after it.
  ~http_client();
  http_client(const http_client&) = delete;
  http_client& operator=(const http_client&) = delete;

  /// Sends one request. `timeout` covers all of it: resolving, connecting, writing, reading. An answer that comes
  /// before the body is written is taken, and marked as `early`; interim answers (1xx, at most 64) are passed over.
  /// A kept connection that was closed, or on which the peer spoke unasked, is replaced. When one turns out to be
  /// closed before any byte of the answer came, the request is sent once more on a fresh one: requests must bear being
  /// received twice.
  void send(client_request request, duration timeout, done_handler done);

  /// POST to the client's URL.
  void post(std::string content_type, header_list headers, std::shared_ptr<const std::string> body, duration timeout,
            done_handler done);
  void post(std::string content_type, header_list headers, std::string body, duration timeout, done_handler done);

  /// Closes the connection now; a request under way ends with `errc::unavailable`. The next request connects again.
  void close();

private:
  loop* loop_;
  std::shared_ptr<detail::client_core> core_;
};

} // namespace reseq::net

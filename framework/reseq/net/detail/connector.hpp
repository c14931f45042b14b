/// One connection to a host that may have several addresses. On the loop's thread only.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "reseq/net/detail/asio.hpp"

namespace reseq::net::detail {

/// Tries the addresses in their order; one that refuses, or has not answered for a quarter of a second, is not waited
/// for before the next one is tried beside it (RFC 8305). The first that answers is taken.
class connector : public std::enable_shared_from_this<connector> {
public:
  /// The connection, to be moved from; or null, and the last error, when none of the addresses could be connected to.
  using done_handler = std::function<void(error_code failed, socket* connected)>;

  connector(asio::io_context& io, std::vector<tcp::endpoint> addresses, done_handler done);

  /// `done` is called once, later.
  void start();
  /// Forgets all attempts; `done` is not called any more.
  void cancel();

private:
  void try_next();
  void answered(std::size_t which, error_code failed);

  asio::io_context& io_;
  const std::vector<tcp::endpoint> addresses_;
  done_handler done_; ///< empty: over
  timer next_;
  std::vector<std::unique_ptr<socket>> tried_; ///< by address
  std::size_t under_way_ = 0;
};

} // namespace reseq::net::detail

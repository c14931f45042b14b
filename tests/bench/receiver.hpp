/// Where a benchmark's deliveries arrive: an HTTP server that confirms everything and says when it came.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/net/http_server.hpp"

namespace reseq::bench {

struct arrival {
  std::uint64_t sequence = 0;
  std::string_view message_id; ///< for the time of the call
  time_point at;
};

/// Takes single deliveries and batches.
class receiver {
public:
  /// On the loop's thread, once for each message, in the order in which they came.
  using handler = std::function<void(const arrival&)>;

  static result<std::unique_ptr<receiver>> listen(net::loop& on, handler handle);

  /// What a destination is configured with.
  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(server_->port()) + "/"; }

private:
  explicit receiver(std::unique_ptr<net::http_server> server) : server_(std::move(server)) {}

  std::unique_ptr<net::http_server> server_;
};

} // namespace reseq::bench

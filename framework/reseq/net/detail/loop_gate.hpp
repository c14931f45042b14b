/// A way to a loop's thread for those who may outlive the loop.
#pragma once

#include <functional>
#include <mutex>

#include "reseq/net/detail/asio.hpp"

namespace reseq::net::detail {

/// Posts to a loop that may be gone already. Any thread.
class loop_gate {
public:
  explicit loop_gate(asio::io_context& io) : io_(&io) {}

  /// Runs `work` on the loop's thread, or drops it when the loop is gone.
  void post(std::function<void()> work);

  /// From now on everything is dropped.
  void close();

  /// Whether the caller is the loop's thread.
  [[nodiscard]] bool on_thread() const;

private:
  std::mutex mutex_;
  asio::io_context* io_;
};

} // namespace reseq::net::detail

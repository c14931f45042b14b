/// What a loop is made of.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>

#include "reseq/net/detail/asio.hpp"

namespace reseq::net::detail {

/// Posts to a loop that may be gone already. Shared by those who may outlive the loop; any thread.
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

struct loop_core {
  asio::io_context io{1};
  std::optional<asio::executor_work_guard<executor>> work{io.get_executor()};
  std::shared_ptr<loop_gate> gate = std::make_shared<loop_gate>(io);
  std::thread thread;
};

} // namespace reseq::net::detail

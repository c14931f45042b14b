/// An I/O thread: what sockets report, timers and posted work run here, one after the other.
#pragma once

#include <functional>
#include <memory>

#include "reseq/model/clock.hpp"
#include "reseq/net/name_lookup.hpp"

namespace reseq::net {

namespace detail {
struct loop_core;
}

/// Owns one thread. Everything that uses the loop (servers, clients) is destroyed before it.
/// Work must not block, since everything else on the loop waits for it, and must not throw.
class loop {
public:
  /// Clients on it find their hosts by `look_up`.
  explicit loop(name_lookup look_up = look_up_by_system);
  /// Stops, and drops what did not run.
  ~loop();
  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;

  /// Starts the thread; once in the life of a loop. What was posted before runs then.
  void start();

  /// Ends the thread and waits for it. What has not run is dropped by the destructor. Harmless when the loop does
  /// not run. By the thread that owns the loop, never by the loop's own.
  void stop();

  /// Runs `work` on the loop's thread, later, in the order of posting. Any thread.
  void post(std::function<void()> work);

  /// Runs `work` on the loop's thread once `delay` has passed. Any thread.
  void after(duration delay, std::function<void()> work);

  /// Runs `work` on the loop's thread and returns when it is done; directly when called there or when the loop does
  /// not run. Any thread, though not while another one is in `stop`, nor holding what `work` waits for.
  void run(const std::function<void()>& work);

  /// Whether the caller is the loop's thread.
  [[nodiscard]] bool on_thread() const;

  /// For the sources of this folder.
  [[nodiscard]] detail::loop_core& core() { return *core_; }

private:
  std::unique_ptr<detail::loop_core> core_;
};

} // namespace reseq::net

/// Gives up on a server that hangs although its machine still answers: whoever waits for it at a socket finds the
/// connection broken when the time is up.
#pragma once

#include <chrono>

namespace reseq::store::postgres {

/// Of one socket; used by one thread at a time. What is armed is watched by one thread of the process, which sleeps
/// while nothing is.
///
/// The socket is shut down, and nothing else: libpq waits for ever, is not to be used by a second thread, and cancels
/// over another connection, which may hang as well.
class deadline {
public:
  /// Keeps a number of its own for `socket`: the other one may be closed, and given to another socket, at any time.
  /// Throws `std::system_error` when the process may have no more of them.
  explicit deadline(int socket);
  ~deadline();
  deadline(const deadline&) = delete;
  deadline& operator=(const deadline&) = delete;

  /// The time is up `limit` from now, whatever was said before.
  void arm(std::chrono::nanoseconds limit);
  /// From here on it is never up. Answers whether it was.
  bool disarm();
  [[nodiscard]] bool passed() const;

private:
  class watch;
  using time_point = std::chrono::steady_clock::time_point;

  int socket_;
  time_point until_ = time_point::max(); ///< `watch` guards this and what follows
  bool passed_ = false;
};

} // namespace reseq::store::postgres

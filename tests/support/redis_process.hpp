/// A real redis-server, for tests and benchmarks.
#pragma once

#include <csignal>
#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

namespace reseq::test {

/// One redis-server process. Gone with the object, and with the test program.
class redis_process {
public:
  /// Runs `redis-server` with these arguments, and waits until it says that it is ready.
  explicit redis_process(std::vector<std::string> arguments);
  ~redis_process();
  redis_process(const redis_process&) = delete;
  redis_process& operator=(const redis_process&) = delete;

  void send(int signal) const;
  [[nodiscard]] pid_t pid() const { return pid_; }

private:
  pid_t pid_ = -1;
  int output_ = -1;
};

/// One that nobody listens on just now.
std::uint16_t free_port();

} // namespace reseq::test

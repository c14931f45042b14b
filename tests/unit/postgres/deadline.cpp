#include "reseq/store/postgres/deadline.hpp"

#include <array>
#include <chrono>
#include <thread>

#include <sys/socket.h>
#include <unistd.h>

#include "catch.hpp"

namespace reseq::test {

using store::postgres::deadline;
using namespace std::chrono_literals;

namespace {

/// Two ends of a connection.
class connection {
public:
  connection() { REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends_.data()) == 0); }
  ~connection() {
    close(ends_[0]);
    close(ends_[1]);
  }
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  [[nodiscard]] int end() const { return ends_[0]; }
  [[nodiscard]] bool is_open() const { return send(ends_[1], "x", 1, MSG_NOSIGNAL) == 1; }
  /// As whoever waits for an answer.
  void wait_until_broken() const {
    std::array<char, 16> got{};
    while (recv(ends_[0], got.data(), got.size(), 0) > 0) {
    }
  }

private:
  std::array<int, 2> ends_{};
};

} // namespace

TEST_CASE("only a deadline that is armed is ever up, and one that is armed again at its new time") {
  const connection first, second, third;
  deadline kept(first.end()), up(second.end()), far(third.end());
  far.arm(1h);
  kept.arm(300ms);
  CHECK_FALSE(kept.disarm());
  const auto began = std::chrono::steady_clock::now();
  up.arm(200ms);
  up.arm(1h);
  up.arm(400ms);
  second.wait_until_broken();
  CHECK(std::chrono::steady_clock::now() - began >= 400ms);
  CHECK(up.passed());
  CHECK(up.disarm());
  CHECK_FALSE(second.is_open());
  CHECK(first.is_open());
  CHECK(third.is_open());
  CHECK_FALSE(kept.disarm());
  CHECK_FALSE(far.disarm());
}

TEST_CASE("a deadline outlives the number of its socket, and cuts nothing that has got it since") {
  const connection other;
  const int socket = dup(other.end());
  deadline mine(socket);
  close(socket);
  const connection next; // under the same number, as a rule
  mine.arm(1ms);
  other.wait_until_broken();
  CHECK(next.is_open());
}

} // namespace reseq::test

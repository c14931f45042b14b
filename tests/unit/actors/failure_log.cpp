#include "actors/failure_log.hpp"

#include "catch.hpp"

using namespace reseq;
using namespace reseq::actors;
using namespace std::chrono_literals;

namespace {

constexpr destination_id receiver{1};
constexpr time_point start{1h};

} // namespace

TEST_CASE("a failure is told when it begins, when its cause changes, and when it ends") {
  failure_log log;
  CHECK_FALSE(log.worked(receiver));
  CHECK(log.failed(receiver, "302", start));
  CHECK_FALSE(log.failed(receiver, "302", start + 1s));
  CHECK(log.failed(receiver, "connection refused", start + 2s));
  CHECK_FALSE(log.failed(receiver, "connection refused", start + 1h)); // still the same
  CHECK(log.worked(receiver));
  CHECK_FALSE(log.worked(receiver));
  CHECK(log.failed(receiver, "302", start + 2h));
}

TEST_CASE("a receiver that fails and works in turns is told of once a minute") {
  failure_log log;
  int told = 0;
  for (int second = 0; second < 180; ++second) {
    told += log.failed(receiver, "503", start + std::chrono::seconds{second}) ? 1 : 0;
    told += log.worked(receiver) ? 1 : 0;
  }
  CHECK(told == 6);
}

TEST_CASE("a failure that was not told because another had just ended is told if it lasts") {
  failure_log log;
  CHECK(log.failed(receiver, "503", start));
  CHECK(log.worked(receiver));
  CHECK_FALSE(log.failed(receiver, "503", start + 30s));
  CHECK(log.failed(receiver, "503", start + 60s));
  CHECK(log.worked(receiver));
}

TEST_CASE("a receiver that gives another reason each time is told of eight times a minute") {
  failure_log log;
  int told = 0;
  for (int second = 0; second < 120; ++second)
    told += log.failed(receiver, "error " + std::to_string(second), start + std::chrono::seconds{second}) ? 1 : 0;
  CHECK(told == 16);
}

TEST_CASE("each destination's failures are told of") {
  failure_log log;
  CHECK(log.failed(receiver, "503", start));
  CHECK(log.failed(destination_id{2}, "503", start));
  CHECK(log.worked(receiver));
  CHECK(log.worked(destination_id{2}));
}

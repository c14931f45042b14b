#include "reseq/net/retry_after.hpp"

#include <clocale>

#include "catch.hpp"

using namespace reseq;
using namespace reseq::net;
using namespace std::chrono_literals;

namespace {

/// 2026-11-21 12:00:00 UTC, a Saturday.
constexpr wall_time noon{std::chrono::sys_days{std::chrono::year{2026} / 11 / 21} + 12h};

std::optional<duration> wait(std::string_view value) { return read_retry_after(value, noon); }

} // namespace

TEST_CASE("Retry-After is seconds or a date in one of HTTP's three formats") {
  CHECK(wait("0") == 0s);
  CHECK(wait("007") == 7s);
  CHECK(wait("Sat, 21 Nov 2026 12:00:30 GMT") == 30s);
  CHECK(wait("Saturday, 21-Nov-26 12:00:30 GMT") == 30s);
  CHECK(wait("Sat Nov 21 12:00:30 2026") == 30s);
  CHECK(wait("Tue Dec  1 12:00:00 2026") == 240h);
  CHECK(read_retry_after("Sat, 21 Nov 2026 12:00:01 GMT", noon + 400ms) == 600ms);
}

TEST_CASE("a wait without reason is a year, not none") {
  const auto value = GENERATE(as<std::string>{}, "31536001", "18446744073709551615", "18446744073709551616",
                              "99999999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT");
  CAPTURE(value);
  CHECK(wait(value) == longest_retry_after);
}

TEST_CASE("a wait that is over, or that nobody can read, is none") {
  const auto value = GENERATE(as<std::string>{}, "", " ", "-1", "+1", "1.5", "1e3", "0x10", "1 s", "soon",
                              "Sat, 21 Nov 2026 12:00:00 GMT", "Sun, 06 Nov 1994 08:49:37 GMT",
                              "Sat Nov 21 11:59:59 2026", "Sat, 21 Nov 2026", "Sat, 21 Nov 2026 12:00:30",
                              "Sat, 21 Nov 2026 12:00:30 GMT+1", "Sat, 21 Nov 2026 12:00:30 PST",
                              "2026-11-21T12:00:30Z", "Sat, 21 Okt 2027 12:00:30 GMT", "Sat, 21 Nov 2026 25:00:00 GMT");
  CAPTURE(value);
  CHECK_FALSE(wait(value));
}

TEST_CASE("a date is English whatever the process speaks") {
  const auto* const other = std::setlocale(LC_ALL, "de_DE.UTF-8");
  CHECK(wait("Sat, 21 Nov 2026 12:00:30 GMT") == 30s);
  CHECK(wait("Thu, 31 Dec 2026 12:00:00 GMT") == 960h);
  if (other) std::setlocale(LC_ALL, "C");
}

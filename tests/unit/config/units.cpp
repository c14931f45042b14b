#include "reseq/config/units.hpp"

#include <chrono>

#include "catch.hpp"

using namespace reseq;
using namespace reseq::config;
using namespace std::chrono_literals;

TEST_CASE("a duration is a whole number with a unit, and reads back as it was written") {
  CHECK(parse_duration("500us").value() == 500us);
  CHECK(parse_duration("750ms").value() == 750ms);
  CHECK(parse_duration("0s").value() == 0s);
  CHECK(parse_duration("7d").value() == 168h);
  for (const auto* text : {"1ns", "500us", "750ms", "2s", "1m", "90s", "1h", "7d", "0s"}) {
    CAPTURE(text);
    CHECK(format_duration(parse_duration(text).value()) == text);
  }
  CHECK(format_duration(60s) == "1m");
}

TEST_CASE("a size is a whole number with a unit, by 1024 or by 1000") {
  CHECK(parse_size("1MiB").value() == 1048576);
  CHECK(parse_size("2kB").value() == 2000);
  CHECK(parse_size("0B").value() == 0);
  CHECK(format_size(1048576) == "1MiB");
  CHECK(format_size(2000) == "2000B");
  CHECK(format_size(0) == "0B");
}

TEST_CASE("what is no duration or size says what one looks like") {
  CHECK(parse_duration("750").error().text() == "\"750\" needs a unit, for example 750ms");
  CHECK(parse_duration("").error().text() == "\"\" is not a duration: a whole number and a unit, for example 750ms");
  CHECK(parse_duration("1.5s").error().text() ==
        "\"1.5s\" is not a duration: a whole number and a unit, for example 750ms");
  CHECK(parse_duration("-1s").error().text() ==
        "\"-1s\" is not a duration: a whole number and a unit, for example 750ms");
  CHECK(parse_duration("5 sec").error().text() == "\"5 sec\" has an unknown unit; known are ns, us, ms, s, m, h, d");
  CHECK(parse_duration("300000d").error().text() == "\"300000d\" is too large");
  CHECK(parse_duration("99999999999999999999s").error().text() == "\"99999999999999999999s\" is too large");
  CHECK(parse_size("16").error().text() == "\"16\" needs a unit, for example 16MiB");
  CHECK(parse_size("1M").error().text() ==
        "\"1M\" has an unknown unit; known are B, KiB, MiB, GiB, TiB, kB, MB, GB, TB");
}

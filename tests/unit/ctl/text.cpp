#include "ctl/text.hpp"

#include "catch.hpp"

using namespace reseq;
using namespace reseq::ctl;
using namespace std::chrono_literals;

TEST_CASE("a span shows its two largest units") {
  CHECK(span(0ms) == "0ms");
  CHECK(span(850ms) == "850ms");
  CHECK(span(1999ms) == "1s");
  CHECK(span(192s) == "3m 12s");
  CHECK(span(180s) == "3m");
  CHECK(span(2h + 5min + 59s) == "2h 5m");
  CHECK(span(2h + 59s) == "2h");
  CHECK(span(76h) == "3d 4h");
  CHECK(span(-5s) == "0ms");
}

TEST_CASE("a timestamp of the API is read to the millisecond") {
  const auto read = read_time("1970-01-02T01:02:03.004Z");
  REQUIRE(read.has_value());
  CHECK(read->time_since_epoch() == 25h + 2min + 3s + 4ms);
}

TEST_CASE("what is no timestamp of the API is not read as one") {
  const auto* const text =
    GENERATE("", "1970-01-02", "1970-01-02T01:02:03Z", "1970-01-02 01:02:03.004Z", "1970-13-02T01:02:03.004Z",
             "1970-02-30T01:02:03.004Z", "1970-01-02T24:02:03.004Z", "1970-01-02T01:-2:03.004Z",
             "1970-01-02T01:02:03.00xZ", "1970-01-02T01:02:03.004Z ");
  CAPTURE(text);
  CHECK(!read_time(text).has_value());
}

TEST_CASE("times are told relative to now, and a clock that is ahead does no harm") {
  const wall_time now{1h};
  CHECK(ago(now - 192s, now) == "3m 12s ago");
  CHECK(ago(now - 300ms, now) == "just now");
  CHECK(ago(now + 5s, now) == "just now");
  CHECK(until(now + 12s, now) == "in 12s");
  CHECK(until(now - 1s, now) == "now");
}

TEST_CASE("control characters do not reach the terminal") {
  CHECK(printable("a\x1b[31m\r\nb\x7f") == "a [31m b ");
  CHECK(printable("a\xc2\x9b"
                  "31mb") == "a 31mb");
  CHECK(printable("größe — ok") == "größe — ok");
}

TEST_CASE("a long text is cut between characters") {
  CHECK(shortened("größe", 5) == "größe");
  CHECK(shortened("größer", 5) == "größ…");
  CHECK(shortened("öö", 1) == "…");
}

TEST_CASE("a table's columns are as wide as their widest cell, by characters") {
  table all({{"NAME"}, {"LAG", align::right}, {"HEAD"}});
  all.add({"billing", "7", "0:17"});
  all.add({"größe", "1200", ""});
  CHECK(all.text() == "NAME      LAG  HEAD\n"
                      "billing     7  0:17\n"
                      "größe    1200\n");
}

TEST_CASE("a row with too few cells is filled up") {
  table all({{"A"}, {"B"}});
  all.add({"x"});
  CHECK(all.text() == "A  B\nx\n");
}

TEST_CASE("one thing is not many") {
  CHECK(counted(1, "message") == "1 message");
  CHECK(counted(0, "message") == "0 messages");
}

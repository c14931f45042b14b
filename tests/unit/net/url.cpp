#include "reseq/net/url.hpp"

#include <string>

#include "catch.hpp"

using namespace reseq;
using namespace reseq::net;

TEST_CASE("a URL is taken apart") {
  const auto plain = parse_url("http://billing.example:9100/in?tenant=a%20b");
  REQUIRE(plain.has_value());
  CHECK(plain->scheme == "http");
  CHECK(plain->host == "billing.example");
  CHECK(plain->port == 9100);
  CHECK(plain->target == "/in?tenant=a%20b");
  CHECK(plain->authority() == "billing.example:9100");
}

TEST_CASE("a URL without port and path gets the scheme's port and a slash") {
  CHECK(parse_url("http://a")->port == 80);
  CHECK(parse_url("https://a")->port == 443);
  CHECK(parse_url("http://a")->target == "/");
  CHECK(parse_url("http://a?x=1")->target == "/?x=1");
  CHECK(parse_url("https://a")->authority() == "a");
}

TEST_CASE("an IPv6 address keeps its brackets only where they are written") {
  const auto local = parse_url("http://[::1]:8080/x");
  REQUIRE(local.has_value());
  CHECK(local->host == "::1");
  CHECK(local->origin() == "http://[::1]:8080");
}

TEST_CASE("what is no URL to send to is refused with a reason that holds no secret") {
  const auto* const text =
    GENERATE("", "example.com/x", "ftp://a/", "http://", "http://a:0/", "http://a:65536/", "http://a:/", "http://a b/",
             "http://a/b c", "http://u:secret@a/", "http://a/#secret", "http://[::1/", "http://::1/", "http://[x]/",
             "http://[::1]8080/", "http://a/\x01", "http://a/\xc3\xa4");
  CAPTURE(text);
  const auto parsed = parse_url(text);
  REQUIRE(!parsed.has_value());
  CHECK(parsed.error().code == errc::invalid);
  CHECK(parsed.error().text().find("secret") == std::string::npos);
}

TEST_CASE("an address to listen on needs host and port") {
  CHECK(parse_host_port("127.0.0.1:0")->text() == "127.0.0.1:0");
  CHECK(parse_host_port("[::1]:8080")->host == "::1");
  CHECK(parse_host_port("[::1]:8080")->text() == "[::1]:8080");
  const auto* const text = GENERATE("", ":80", "localhost", "a:b", "a:65536", "::1:80", "[::1]", "a:-1", "a:80:90");
  CAPTURE(text);
  CHECK(!parse_host_port(text).has_value());
}

#include "reseq/store/redis/server_url.hpp"

#include <string>

#include "catch.hpp"
#include "journal_fixture.hpp"
#include "reseq/store/redis/hiredis.hpp"

namespace reseq::test {

using store::redis::parse_server_url;
using store::redis::server_address;
using store::redis::server_url;

TEST_CASE("a Redis URL names its server, its user and its database") {
  const auto plain = must(parse_server_url("redis://localhost"));
  CHECK(plain.how == server_url::kind::tcp);
  CHECK(plain.hosts == std::vector<server_address>{{"localhost", 6379}});
  CHECK(plain.user.empty());
  CHECK(plain.password.empty());
  CHECK(plain.database == 0);
  CHECK(plain.text() == "redis://localhost:6379/0");

  const auto full = must(parse_server_url("redis://me:s%40cr:et%2f@[::1]:7000/3"));
  CHECK(full.hosts == std::vector<server_address>{{"::1", 7000}});
  CHECK(full.user == "me");
  CHECK(full.password == "s@cr:et/");
  CHECK(full.database == 3);
  CHECK(full.text() == "redis://[::1]:7000/3");

  CHECK(must(parse_server_url("redis://:secret@h/")).password == "secret");
  CHECK(must(parse_server_url("redis://secret@h")).password == "secret");
}

TEST_CASE("a socket's URL is its path") {
  const auto plain = must(parse_server_url("unix:///run/redis/redis@0.sock"));
  CHECK(plain.how == server_url::kind::unix_socket);
  CHECK(plain.path == "/run/redis/redis@0.sock");
  const auto full = must(parse_server_url("unix://me:secret@/run/redis.sock?db=7"));
  CHECK(full.path == "/run/redis.sock");
  CHECK(full.user == "me");
  CHECK(full.password == "secret");
  CHECK(full.database == 7);
  CHECK(full.text() == "unix:///run/redis.sock?db=7");
}

TEST_CASE("a Sentinel URL names the sentinels and the master") {
  const auto plain = must(parse_server_url("redis-sentinel://h1,h2:7000/mymaster"));
  CHECK(plain.how == server_url::kind::sentinel);
  CHECK(plain.hosts == std::vector<server_address>{{"h1", 26379}, {"h2", 7000}});
  CHECK(plain.master == "mymaster");
  const auto full = must(parse_server_url("redis-sentinel://me:secret@h1/mymaster/2"));
  CHECK(full.password == "secret");
  CHECK(full.database == 2);
  CHECK(full.text() == "redis-sentinel://h1:26379/mymaster/2");
  CHECK(full.sentinel_password.empty());
  const auto guarded = must(parse_server_url("redis-sentinel://me:secret@h1/mymaster/2?sentinel=you:s%3Fesame"));
  CHECK(guarded.password == "secret");
  CHECK(guarded.database == 2);
  CHECK(guarded.sentinel_user == "you");
  CHECK(guarded.sentinel_password == "s?esame");
  CHECK(guarded.text() == "redis-sentinel://h1:26379/mymaster/2");
  const auto brief = must(parse_server_url("redis-sentinel://h1/mymaster?sentinel=sesame"));
  CHECK(brief.master == "mymaster");
  CHECK(brief.sentinel_user.empty());
  CHECK(brief.sentinel_password == "sesame");
}

TEST_CASE("a wrong Redis URL is refused with what is wrong, and never with a secret") {
  const std::vector<std::pair<std::string, std::string>> wrong{
    {"localhost:6379", "starts with redis://"},
    {"http://localhost", "starts with redis://"},
    {"redis://", "host is missing"},
    {"redis://hunter2@", "host is missing"},
    {"redis://me:hunter2@:6379", "host is missing"},
    {"redis://me:hunter2@h:port", "port must be 1 to 65535"},
    {"redis://h:0", "port must be 1 to 65535"},
    {"redis://h:65536", "port must be 1 to 65535"},
    {"redis://::1:6379", "needs brackets"},
    {"redis://[::1", "not closed"},
    {"redis://[::1]6379", "needs a ':'"},
    {"redis://me:hunter2@h/zero", "database must be a number"},
    {"redis://h/-1", "database must be a number"},
    {"redis://me:@h", "no password"},
    {"redis://me:hunter2%@h", "two hexadecimal digits"},
    {"redis://me:hunter2%zz@h", "two hexadecimal digits"},
    {"redis://me:hunter 2@h", "percent-encode"},
    {"redis://hunter2?h", "no valid name"},
    {"unix://run/redis.sock", "absolute path"},
    {"unix://", "absolute path"},
    {"unix:///run/redis.sock?timeout=hunter2", "only db=NUMBER"},
    {"redis-sentinel://h1,h2", "master's name is missing"},
    {"redis-sentinel://h1,,h2/m", "host is missing"},
    {"redis-sentinel://h1/?sentinel=hunter2", "master's name is missing"},
    {"redis-sentinel://h1/m?hunter2", "only sentinel="},
    {"redis-sentinel://h1/m?sentinel=hunter2:", "behind sentinel= has no password"},
  };
  for (const auto& [text, why] : wrong) {
    CAPTURE(text);
    const auto parsed = parse_server_url(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == errc::invalid);
    CHECK(parsed.error().text().find(why) != std::string::npos);
    CHECK(parsed.error().text().find("hunter") == std::string::npos);
  }
}

TEST_CASE("TLS is taken where hiredis has it, and refused with the reason where not") {
  for (const std::string url : {"rediss://h:6379/0", "rediss-sentinel://h:26379/m/0"}) {
    const auto parsed = parse_server_url(url);
    CHECK(parsed.has_value() == store::redis::channel::has_tls());
    if (!parsed) CHECK(parsed.error().text().find("hiredis 1.0") != std::string::npos);
    if (parsed) CHECK(parsed->encrypted);
    if (parsed) CHECK(parsed->text() == url);
  }
}

} // namespace reseq::test

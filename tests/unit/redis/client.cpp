// The client against real servers: log in, databases, waits, Sentinel.

#include "reseq/store/redis/client.hpp"

#include <array>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "redis_server.hpp"
#include "resequencer_fixture.hpp"

namespace reseq::test {

namespace {

using namespace std::chrono_literals;
using store::redis::client;
using store::redis::command;

result<std::string> echo(client& with, const std::string& text) {
  const auto answers = with.run(std::array{command("ECHO").add(text)});
  if (!answers) return tl::unexpected(answers.error());
  return std::string(answers->front().text());
}

client client_of(const std::string& url) { return {must(store::redis::parse_server_url(url)), patient()}; }

} // namespace

TEST_CASE("commands go out together and are answered in order, whatever their bytes") {
  redis_server server;
  client one(server.url(), patient());
  std::vector<command> many;
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < 500; ++i) {
    texts.push_back(std::string("\r\n\0%s ", 6) + std::string(i * 97 % 40'000, static_cast<char>(i)));
    many.push_back(command("ECHO").add(texts.back()));
  }
  const auto answers = must(one.run(many));
  REQUIRE(answers.size() == texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) REQUIRE(answers[i].text() == texts[i]);
  CHECK(must(one.run(std::array{command("GET").add("nothing")})).front().type() == store::redis::reply::kind::nil);
  CHECK(one.connects() == 1);
}

TEST_CASE("Redis calls the scripts what this program calls them") {
  redis_server server;
  for (const auto* one : {&store::redis::open_script, &store::redis::update_script})
    CHECK(server.ask_text(command("SCRIPT").add("LOAD").add(one->text)) == one->sha1);
}

TEST_CASE("a password that is needed is asked for, a wrong one is refused, and neither is told") {
  redis_server server({"--requirepass", "hunter2"});
  const auto refused = [&](const std::string& user) {
    auto one = client_of(server.url_text(user));
    const auto answer = echo(one, "x");
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code == errc::invalid);
    CHECK(answer.error().text().find("hunter") == std::string::npos);
    return answer.error().text();
  };
  CHECK(refused("").find("NOAUTH") != std::string::npos);
  CHECK(refused("hunter3").find("WRONGPASS") != std::string::npos);
  CHECK(refused("default:hunter3").find("WRONGPASS") != std::string::npos);
  auto one = client_of(server.url_text("hunter2"));
  CHECK(must(echo(one, "x")) == "x");
}

TEST_CASE("an ACL user with the rights that the adapter's README names can do everything, another one nothing") {
  redis_server server;
  server.ask(command("ACL")
               .add("SETUSER")
               .add("reseq")
               .add("on")
               .add(">p w/d")
               .add("~reseq:*")
               .add("+evalsha")
               .add("+script|load")
               .add("+@hash")
               .add("+@sortedset")
               .add("+del"));
  server.ask(command("ACL").add("SETUSER").add("guest").add("on").add(">guest").add("~*").add("+get"));
  lane_owner owner(access(must(store::redis::parse_server_url(server.url_text("reseq:p%20w%2Fd")))), 1);
  core::lane_updates updates;
  updates.lanes = {step(1, 1, 1, {1, 2}, {1}, {2})};
  updates.results = {stored(key(1), "m1")};
  updates.unneeded = {key(2)};
  CHECK(must(owner->apply(updates)).results == 1);
  CHECK(must(owner->load(std::vector{key(1)})).size() == 1);

  const auto guest = access(must(store::redis::parse_server_url(server.url_text("guest:guest"))));
  CHECK(guest->open(epoch{2}, lanes(1)).error().code == errc::invalid);
}

TEST_CASE("databases are apart, and one that there is not is an error") {
  redis_server server;
  const auto path = server.url_text();
  lane_owner here(access(must(store::redis::parse_server_url(path + "?db=1"))), 5);
  lane_owner there(access(must(store::redis::parse_server_url(path + "?db=2"))), 1);
  auto nowhere = client_of(path + "?db=99");
  CHECK(echo(nowhere, "x").error().code == errc::invalid);
}

TEST_CASE("after failures it waits longer and longer, and says so at once") {
  redis_server server;
  auto where = server.url();
  where.path += ".not";
  store::redis::client_options options;
  options.shortest_wait = 1h; // so that this test need not be fast
  options.longest_wait = 3h;
  options.seed = GENERATE(1, 2, 3);
  client one(where, options);
  CHECK_FALSE(one.waits_until());
  const auto before = std::chrono::steady_clock::now();
  const auto first = echo(one, "x");
  CHECK(first.error().code == errc::unavailable);
  CHECK(first.error().text().find(where.path) != std::string::npos);
  REQUIRE(one.waits_until());
  CHECK(*one.waits_until() >= before + 30min);
  CHECK(*one.waits_until() <= std::chrono::steady_clock::now() + 1h);
  const auto until = one.waits_until();
  CHECK(echo(one, "x").error().code == errc::unavailable);
  CHECK(one.waits_until() == until);
  CHECK(one.connects() == 0);
}

TEST_CASE("a Redis without room is asked again on the same connection, after waits") {
  redis_server server;
  server.ask(command("CONFIG").add("SET").add("maxmemory").add("1"));
  store::redis::client_options options;
  options.timeout = 30s;
  options.shortest_wait = 1ms;
  options.longest_wait = 2ms;
  client one(server.url(), options);
  for (int failures = 0; failures < 10; ++failures) {
    if (const auto until = one.waits_until()) std::this_thread::sleep_until(*until);
    const auto full = one.run(std::array{command("SET").add("a").add("b")});
    REQUIRE_FALSE(full);
    CHECK(full.error().code == errc::no_space);
  }
  CHECK(one.connects() == 1);
  server.ask(command("CONFIG").add("SET").add("maxmemory").add("0"));
  if (const auto until = one.waits_until()) std::this_thread::sleep_until(*until);
  must(one.run(std::array{command("SET").add("a").add("b")}));
  CHECK(one.connects() == 1);
}

TEST_CASE("it connects again when its wait is over, and an answer ends the waits") {
  redis_server server;
  auto options = patient();
  options.shortest_wait = 1ms;
  options.longest_wait = 20ms;
  client one(server.url(), options);
  CHECK(must(echo(one, "a")) == "a");
  server.send(SIGKILL);
  CHECK(echo(one, "b").error().code == errc::unavailable);
  for (int failures = 0; failures < 5;) {
    if (const auto until = one.waits_until()) std::this_thread::sleep_until(*until);
    CHECK_FALSE(echo(one, "c").has_value());
    ++failures;
  }
  const auto before = one.connects(); // a server that is dying may still take one
  server.restart();
  if (const auto until = one.waits_until()) std::this_thread::sleep_until(*until);
  CHECK(must(echo(one, "d")) == "d");
  CHECK_FALSE(one.waits_until());
  CHECK(one.connects() == before + 1);
}

TEST_CASE("a server that takes connections and says nothing costs no more than the timeout") {
  redis_server server;
  auto options = patient();
  options.timeout = 100ms;
  client one(server.url(), options);
  server.send(SIGSTOP);
  const auto before = std::chrono::steady_clock::now();
  const auto answer = echo(one, "x");
  const auto took = std::chrono::steady_clock::now() - before;
  server.send(SIGCONT);
  CHECK(answer.error().code == errc::unavailable);
  CHECK(answer.error().text().find("in time") != std::string::npos);
  CHECK(took >= 100ms);
  CHECK(took < 10s);
}

TEST_CASE("a server that is still loading, or only a replica, is away") {
  CHECK(store::redis::meaning("LOADING Redis is loading the dataset in memory").code == errc::unavailable);
  CHECK(store::redis::meaning("READONLY You can't write against a read only replica.").code == errc::unavailable);
  for (const std::string redirection : {"MOVED 1234 10.0.0.1:6379", "ASK 1234 10.0.0.1:6379"})
    CHECK(store::redis::meaning(redirection).what == "Redis answered: " + redirection +
                                                       "; a cluster's redirections are not followed: name a Redis that "
                                                       "is no cluster, or the node that keeps this slot");
  CHECK(store::redis::meaning("ERR " + std::string(5000, 'x') + "\nmore").what.size() < 300);
}

} // namespace reseq::test

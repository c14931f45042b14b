#include "reseq/net/http_client.hpp"

#include <thread>

#include "reseq/net/http_blocking.hpp"
#include "served.hpp"

using namespace reseq;
using namespace reseq::net;
using namespace reseq::test;
using namespace std::chrono_literals;

namespace {

url local(std::uint16_t port, std::string target = "/in") { return {"http", "127.0.0.1", port, std::move(target)}; }

/// A client whose answers the test waits for.
struct calling {
  explicit calling(const url& to, client_limits limits = {}) : client(io, to, limits) { io.start(); }

  void post(std::string body, duration timeout = 10s) {
    client.post("text/plain", {{"X-A", "b"}}, std::move(body), timeout,
                [this](result<client_answer> answer) { answers.put(std::move(answer)); });
  }

  inbox<result<client_answer>> answers;
  loop io;
  http_client client;
};

constexpr std::string_view ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

std::string text_of(const result<client_answer>& outcome) {
  return outcome ? std::to_string(outcome->status) + " " + outcome->body : outcome.error().text();
}

} // namespace

TEST_CASE("a client posts and keeps its connection") {
  served at;
  calling to(local(at.server->port(), "/in?x=1"));
  for (const auto* const body : {"one", "", "three"}) {
    to.post(body);
    CHECK(text_of(to.answers.next()) == std::string("200 POST /in?x=1 ") + body);
  }
  CHECK(at.closed.empty());
}

TEST_CASE("a request goes out as it should") {
  raw_listener fake;
  calling to(local(fake.port()));
  to.post("body");
  auto peer = fake.accept();
  const auto port = std::to_string(fake.port());
  CHECK(peer.read_message() == "POST /in HTTP/1.1\r\nHost: 127.0.0.1:" + port +
                                 "\r\nUser-Agent: reseq\r\nX-A: b\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n"
                                 "\r\nbody");
  peer.send(ok);
  CHECK(text_of(to.answers.next()) == "200 ok");
}

TEST_CASE("an answer is the same however its bytes are cut and its body ends") {
  const std::string answer =
    GENERATE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
             "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"
             "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n");
  raw_listener fake;
  calling to(local(fake.port()));
  to.post("");
  auto peer = fake.accept();
  peer.read_message();
  for (std::size_t cut = 0; cut < answer.size(); ++cut) {
    CAPTURE(cut);
    REQUIRE(peer.send(answer.substr(0, cut)));
    REQUIRE(peer.send(answer.substr(cut)));
    REQUIRE(text_of(to.answers.next()) == "200 ok");
    to.post("");
    peer.read_message();
  }
}

TEST_CASE("an answer may end with its connection") {
  raw_listener fake;
  calling to(local(fake.port()));
  to.post("");
  {
    auto peer = fake.accept();
    peer.read_message();
    peer.send("HTTP/1.0 200 OK\r\n\r\nok");
  }
  CHECK(text_of(to.answers.next()) == "200 ok");
  to.post("");
  auto peer = fake.accept();
  peer.read_message();
  peer.send(ok);
  CHECK(text_of(to.answers.next()) == "200 ok");
}

TEST_CASE("an answer that comes before the request was written is taken") {
  raw_listener fake;
  calling to(local(fake.port()));
  to.post(std::string(64U << 20U, 'x'));
  auto peer = fake.accept();
  peer.read_until("\r\n\r\n");
  peer.send("HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno");
  const auto early = to.answers.next();
  CHECK(text_of(early) == "413 no");
  CHECK((early && early->early));
  to.post("");
  auto next = fake.accept();
  next.read_message();
  next.send(ok);
  const auto in_time = to.answers.next();
  CHECK(text_of(in_time) == "200 ok");
  CHECK((in_time && !in_time->early));
}

TEST_CASE("an early answer that ends with its connection is marked too") {
  raw_listener fake;
  calling to(local(fake.port()));
  to.post(std::string(64U << 20U, 'x'));
  auto peer = fake.accept();
  peer.read_until("\r\n\r\n");
  peer.send("HTTP/1.0 200 OK\r\n\r\nok");
  peer.shutdown_send();
  const auto early = to.answers.next();
  CHECK(text_of(early) == "200 ok");
  CHECK((early && early->early));
}

TEST_CASE("what the peer said unasked is no answer to the next request") {
  raw_listener fake;
  calling to(local(fake.port()));
  to.post("1");
  auto peer = fake.accept();
  peer.read_message();
  peer.send(ok);
  to.answers.next();
  // In this order on the loop, so that it has not looked at the connection when the next request begins.
  to.io.post([&] {
    to.io.post([&] { peer.send(ok); });
    to.post("2");
  });
  auto next = fake.accept();
  CHECK(next.read_message().ends_with("\r\n\r\n2"));
  next.send("HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno");
  CHECK(text_of(to.answers.next()) == "500 no");
}

TEST_CASE("a kept connection that was closed in between is replaced without anybody noticing") {
  raw_listener fake;
  calling to(local(fake.port()));
  to.post("1");
  {
    auto peer = fake.accept();
    peer.read_message();
    peer.send(ok);
    to.answers.next();
  }
  to.post("2");
  auto peer = fake.accept();
  CHECK(peer.read_message().ends_with("\r\n\r\n2"));
  peer.send(ok);
  CHECK(text_of(to.answers.next()) == "200 ok");
}

TEST_CASE("a kept connection that has no request for long is closed, and the next request has another") {
  raw_listener fake;
  client_limits limits;
  limits.idle = 1ms;
  calling to(local(fake.port()), limits);
  for (const auto* const body : {"one", "two"}) {
    to.post(body);
    auto peer = fake.accept();
    CHECK(peer.read_message().ends_with(body));
    peer.send(ok);
    CHECK(text_of(to.answers.next()) == "200 ok");
    CHECK(peer.closed_by_peer());
  }
}

TEST_CASE("a connection is not idle while its answer takes long") {
  raw_listener fake;
  client_limits limits;
  limits.idle = 0ms;
  calling to(local(fake.port()), limits);
  to.post("body");
  auto peer = fake.accept();
  peer.read_message();
  peer.send(std::string_view(ok).substr(0, 20));
  to.post("another");
  CHECK(text_of(to.answers.next()).find("under way") != std::string::npos);
  peer.send(std::string_view(ok).substr(20));
  CHECK(text_of(to.answers.next()) == "200 ok");
}

TEST_CASE("a request that a kept connection swallowed is sent once more, and only once") {
  raw_listener fake;
  calling to(local(fake.port()));
  to.post("1");
  auto peer = fake.accept();
  peer.read_message();
  peer.send(ok);
  to.answers.next();
  to.post("2");
  CHECK(peer.read_message().ends_with("\r\n\r\n2"));
  peer.reset();
  auto second = fake.accept();
  CHECK(second.read_message().ends_with("\r\n\r\n2"));
  second.close();
  const auto outcome = to.answers.next();
  REQUIRE(!outcome);
  CHECK(outcome.error().code == errc::unavailable);
  CHECK(has(outcome.error().what, "closed before the answer"));
  CHECK(outcome.error().where == "http://127.0.0.1:" + std::to_string(fake.port()));
}

TEST_CASE("a fresh connection that is closed before the answer is not tried again") {
  raw_listener fake;
  calling to(local(fake.port()));
  to.post("1");
  {
    auto peer = fake.accept();
    peer.read_message();
    peer.reset();
  }
  const auto outcome = to.answers.next();
  REQUIRE(!outcome);
  CHECK(outcome.error().transient());
}

TEST_CASE("half an answer is an error, wherever it ends") {
  raw_listener fake;
  calling to(local(fake.port()));
  for (std::size_t cut = 1; cut < ok.size(); ++cut) {
    CAPTURE(cut);
    to.post("1");
    {
      auto peer = fake.accept();
      peer.read_message();
      peer.send(ok.substr(0, cut));
    }
    const auto outcome = to.answers.next();
    REQUIRE(!outcome);
    CHECK(has(outcome.error().what, "in the middle of the answer"));
  }
}

TEST_CASE("an answer that is no HTTP is malformed") {
  const auto* const answer =
    GENERATE("SSH-2.0-x\r\n", "HTTP/1.1 200 OK\nA: b\n\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n",
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 2 OK\r\n\r\n");
  raw_listener fake;
  calling to(local(fake.port()));
  to.post("1");
  auto peer = fake.accept();
  peer.read_message();
  peer.send(answer);
  if (std::string_view(answer).starts_with("SSH")) peer.send("\r\n");
  const auto outcome = to.answers.next();
  REQUIRE(!outcome);
  CHECK(outcome.error().code == errc::unavailable);
  CHECK(has(outcome.error().what, "malformed answer"));
}

TEST_CASE("a name that does not exist fails and says so") {
  calling to({"http", "no-such-host.invalid", 80, "/"});
  to.post("1", 1h);
  const auto outcome = to.answers.next();
  REQUIRE(!outcome);
  CHECK(outcome.error().code == errc::unavailable);
  CHECK(has(outcome.error().what, "cannot be resolved"));
}

TEST_CASE("a refused connection fails at once and says so") {
  raw_listener fake;
  const auto port = fake.port();
  fake.close();
  calling to(local(port));
  to.post("1", 1h);
  const auto outcome = to.answers.next();
  REQUIRE(!outcome);
  CHECK(outcome.error().code == errc::unavailable);
  CHECK(has(outcome.error().what, "refused"));
}

TEST_CASE("an answer that does not come in time is given up, and the next request has a fresh connection") {
  raw_listener fake;
  calling to(local(fake.port()));
  to.post("1", 30ms);
  auto peer = fake.accept();
  const auto outcome = to.answers.next();
  REQUIRE(!outcome);
  CHECK(outcome.error().code == errc::unavailable);
  CHECK(has(outcome.error().what, "no complete answer within 30 ms"));
  to.post("2");
  auto next = fake.accept();
  CHECK(next.read_message().ends_with("\r\n\r\n2"));
  next.send(ok);
  CHECK(text_of(to.answers.next()) == "200 ok");
}

TEST_CASE("of a long answer the beginning is kept") {
  served at({}, [](const http_request& request, const responder& answer) {
    answer({200, "", {}, std::string(request.body == "long" ? 1000 : 10'000, 'x')});
  });
  calling to(local(at.server->port()), {100, 5000});
  to.post("long");
  auto outcome = to.answers.next();
  REQUIRE(outcome);
  CHECK(outcome->body.size() == 100);
  CHECK(outcome->truncated);
  CHECK(at.closed.empty());
  to.post("longer");
  outcome = to.answers.next();
  REQUIRE(outcome);
  CHECK(outcome->body.size() == 100);
  CHECK(at.closed.next() > 0); // not worth reading to its end
}

TEST_CASE("a second request at the same time is refused") {
  raw_listener fake;
  calling to(local(fake.port()));
  to.post("1");
  to.post("2");
  const auto second = to.answers.next();
  REQUIRE(!second);
  CHECK(second.error().code == errc::internal);
  auto peer = fake.accept();
  peer.read_message();
  peer.send(ok);
  CHECK(text_of(to.answers.next()) == "200 ok");
}

TEST_CASE("closing ends the request under way, destroying forgets it") {
  raw_listener fake;
  {
    calling to(local(fake.port()));
    to.post("1");
    auto peer = fake.accept();
    peer.read_message();
    to.client.close();
    const auto outcome = to.answers.next();
    REQUIRE(!outcome);
    CHECK(outcome.error().code == errc::unavailable);
    to.post("2");
    auto next = fake.accept();
    next.read_message();
  }
  CHECK(true);
}

TEST_CASE("a URL that is not http is refused when used") {
  calling to({"https", "127.0.0.1", 443, "/"});
  to.post("1");
  const auto outcome = to.answers.next();
  REQUIRE(!outcome);
  CHECK(outcome.error().code == errc::invalid);
}

TEST_CASE("a name is resolved") {
  served at;
  calling to({"http", "localhost", at.server->port(), "/"});
  to.post("1");
  CHECK(text_of(to.answers.next()) == "200 POST /? 1");
}

TEST_CASE("the callback may send the next request, or destroy the client") {
  served at;
  loop io;
  inbox<std::string> seen;
  auto client = std::make_unique<http_client>(io, local(at.server->port()));
  client->post("", {}, std::string("1"), 10s, [&](const result<client_answer>& first) {
    seen.put(text_of(first));
    client->post("", {}, std::string("2"), 10s, [&](const result<client_answer>& second) {
      client.reset();
      seen.put(text_of(second));
    });
  });
  io.start();
  CHECK(seen.next() == "200 POST /in? 1");
  CHECK(seen.next() == "200 POST /in? 2");
}

TEST_CASE("a command-line tool asks and waits") {
  served at;
  const auto answer = request("GET", local(at.server->port(), "/v1?x"), {{"Accept", "*/*"}}, "", 10s);
  REQUIRE(answer);
  CHECK(answer->body == "GET /v1?x ");
  CHECK(find_header(answer->headers, "content-type") == "text/plain");
  raw_listener silent;
  CHECK(!request("GET", local(silent.port()), {}, "", 20ms));
}

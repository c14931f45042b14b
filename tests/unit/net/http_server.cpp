#include "reseq/net/http_server.hpp"

#include <atomic>
#include <thread>

#include "served.hpp"

using namespace reseq;
using namespace reseq::net;
using namespace reseq::test;

TEST_CASE("a server answers and keeps the connection") {
  served at;
  auto client = at.connect();
  for (int i = 0; i < 3; ++i) {
    REQUIRE(client.send(post("/a?b=c", "payload")));
    const auto answer = client.read_message();
    CHECK(status_line(answer) == "HTTP/1.1 200 OK");
    CHECK(has(answer, "\r\n\r\nPOST /a?b=c payload"));
    CHECK(has(answer, "\r\nDate: "));
    CHECK(!has(answer, "Connection:"));
  }
}

TEST_CASE("a request is the same however its bytes are cut") {
  served at;
  auto client = at.connect();
  const std::string text = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  for (std::size_t cut = 1; cut < text.size(); ++cut) {
    CAPTURE(cut);
    REQUIRE(client.send(text.substr(0, cut)));
    REQUIRE(client.send(text.substr(cut)));
    CHECK(has(client.read_message(), "\r\n\r\nPOST /a? abc"));
  }
  for (const auto byte : text) REQUIRE(client.send({&byte, 1}));
  CHECK(has(client.read_message(), "\r\n\r\nPOST /a? abc"));
}

TEST_CASE("pipelined requests are handled one at a time and answered in order") {
  std::atomic<int> under_way = 0;
  std::atomic<int> most = 0;
  std::vector<std::thread> threads;
  {
    served at({}, [&](http_request request, const responder& answer) {
      most = std::max(most.load(), ++under_way);
      threads.emplace_back([&, answer, path = request.path] {
        --under_way;
        answer({200, "text/plain", {}, path});
      });
    });
    auto client = at.connect();
    std::string all;
    for (int i = 0; i < 20; ++i) all += get("/" + std::to_string(i));
    REQUIRE(client.send(all));
    for (int i = 0; i < 20; ++i) CHECK(has(client.read_message(), "\r\n\r\n/" + std::to_string(i)));
  }
  for (auto& thread : threads) thread.join();
  CHECK(most == 1);
}

TEST_CASE("large bodies arrive whole, with a length and in chunks") {
  std::string big;
  for (std::size_t i = 0; i < 300'000; ++i) big += static_cast<char>('a' + i % 23);
  served at({}, [&](const http_request& request, const responder& answer) {
    answer({request.body == big ? 200U : 422U, "", {}, request.body});
  });
  auto client = at.connect();
  REQUIRE(client.send(post("/", big)));
  const auto answer = client.read_message();
  CHECK(status_line(answer) == "HTTP/1.1 200 OK");
  CHECK(answer.ends_with(big));
  REQUIRE(client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string("186a0\r\n") +
                      big.substr(0, 100'000) + "\r\n30d40\r\n" + big.substr(100'000) + "\r\n0\r\n\r\n"));
  CHECK(status_line(client.read_message()) == "HTTP/1.1 200 OK");
}

TEST_CASE("HTTP/1.0 closes unless asked to keep the connection") {
  served at;
  auto once = at.connect();
  REQUIRE(once.send("GET /a HTTP/1.0\r\n\r\n"));
  CHECK(has(once.read_all(), "Connection: close"));
  auto kept = at.connect();
  REQUIRE(kept.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
  CHECK(has(kept.read_message(), "Connection: keep-alive"));
  REQUIRE(kept.send("GET /b HTTP/1.0\r\n\r\n"));
  CHECK(has(kept.read_all(), "GET /b"));
}

TEST_CASE("HEAD, 204 and 304 have no body") {
  served at({}, [](const http_request& request, const responder& answer) {
    answer({request.path == "/204" ? 204U : request.path == "/304" ? 304U : 200U, "text/plain", {}, "text"});
  });
  auto client = at.connect();
  REQUIRE(client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" + get("/204") + get("/304") + get("/")));
  CHECK(has(client.read_until("\r\n\r\n"), "Content-Length: 4"));
  CHECK(status_line(client.read_until("\r\n\r\n")) == "HTTP/1.1 204 No Content");
  CHECK(status_line(client.read_until("\r\n\r\n")) == "HTTP/1.1 304 Not Modified");
  CHECK(client.read_message().ends_with("\r\n\r\ntext"));
}

TEST_CASE("an answer can close the connection") {
  served at({}, [](const http_request&, const responder& answer) { answer({503, "", {}, "", true}); });
  auto client = at.connect();
  REQUIRE(client.send(get("/1") + get("/2")));
  const auto all = client.read_all();
  CHECK(has(all, "Connection: close"));
  CHECK(all.find("503", all.find("503") + 3) == std::string::npos);
}

TEST_CASE("a dropped request is answered 503") {
  served at({}, [](const http_request&, const responder&) {});
  auto client = at.connect();
  REQUIRE(client.send(get("/")));
  const auto answer = client.read_message();
  CHECK(status_line(answer) == "HTTP/1.1 503 Service Unavailable");
  CHECK(has(answer, "application/problem+json"));
}

TEST_CASE("only the first answer counts") {
  served at({}, [](const http_request&, const responder& answer) {
    answer({200, "", {}, "first"});
    answer({500, "", {}, "second"});
  });
  auto client = at.connect();
  REQUIRE(client.send(get("/1") + get("/2")));
  CHECK(has(client.read_message(), "first"));
  CHECK(has(client.read_message(), "first"));
}

TEST_CASE("an answer to a connection that is gone goes nowhere") {
  inbox<responder> held;
  served at({}, [&](const http_request&, responder answer) { held.put(std::move(answer)); });
  for (int i = 0; i < 20; ++i) {
    auto client = at.connect();
    REQUIRE(client.send(get("/")));
    const auto answer = held.next();
    client.reset();
    answer({200, "", {}, std::string(100'000, 'x')});
    at.closed.next();
  }
}

TEST_CASE("a responder outlives its server and loop") {
  inbox<responder> held;
  {
    served at({}, [&](const http_request&, responder answer) { held.put(std::move(answer)); });
    auto client = at.connect();
    REQUIRE(client.send(get("/")));
    held.put(held.next());
  }
  held.next()({200, "", {}, "too late"});
}

TEST_CASE("a client that sends its request and closes its side still gets the answer") {
  served at;
  auto client = at.connect();
  REQUIRE(client.send(get("/a")));
  client.shutdown_send();
  CHECK(has(client.read_all(), "GET /a"));
}

TEST_CASE("a reset at any byte leaves the server serving") {
  served at;
  const auto text = post("/a", "0123456789");
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    auto client = at.connect();
    REQUIRE(client.send(text.substr(0, cut)));
    client.reset();
  }
  auto client = at.connect();
  REQUIRE(client.send(text));
  CHECK(has(client.read_message(), "0123456789"));
}

TEST_CASE("a thousand idle connections do no harm") {
  served at;
  std::vector<raw_socket> idle;
  for (int i = 0; i < 1000; ++i) idle.push_back(at.connect());
  for (const auto i : {0U, 500U, 999U}) {
    REQUIRE(idle[i].send(get("/a")));
    CHECK(has(idle[i].read_message(), "GET /a"));
  }
}

TEST_CASE("each connection has a number of its own and is reported when it is gone") {
  inbox<std::uint64_t> seen;
  inbox<std::string> peers;
  served at({}, [&](http_request request, const responder& answer) {
    seen.put(request.connection);
    peers.put(request.peer);
    echo(std::move(request), answer);
  });
  auto first = at.connect();
  auto second = at.connect();
  REQUIRE(first.send(get("/")));
  const auto number = seen.next();
  first.read_message();
  REQUIRE(second.send(get("/")));
  CHECK(seen.next() != number);
  CHECK(peers.next().starts_with("127.0.0.1:"));
  first.close();
  CHECK(at.closed.next() == number);
}

TEST_CASE("a server that stops accepting finishes what is under way and reports it") {
  inbox<responder> held;
  inbox<int> drained;
  served at({}, [&](const http_request&, responder answer) { held.put(std::move(answer)); });
  auto idle = at.connect();
  auto busy = at.connect();
  REQUIRE(busy.send(get("/")));
  auto answer = held.next();
  at.server->stop_accepting();
  at.server->drained([&] { drained.put(1); });
  CHECK(idle.closed_by_peer());
  CHECK(drained.empty());
  CHECK_THROWS(at.connect());
  answer({200, "", {}, "done"});
  const auto text = busy.read_all();
  CHECK(has(text, "Connection: close"));
  CHECK(text.ends_with("done"));
  CHECK(drained.next() == 1);
  at.server->drained([&] { drained.put(2); });
  CHECK(drained.next() == 2);
}

TEST_CASE("a server that stops refuses at once what has not come whole, and waits a little for who still sends") {
  const auto* const half =
    GENERATE("POST / HTTP/1.1\r\nHost:", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf",
             "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf",
             "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\nhalf");
  const bool closes = GENERATE(true, false);
  inbox<int> drained;
  served at;
  auto busy = at.connect();
  REQUIRE(busy.send(half));
  auto later = at.connect(); // once it is answered, the other's bytes are read as well
  REQUIRE(later.send(get("/")));
  REQUIRE(has(later.read_message(), "200 OK"));
  at.server->stop_accepting();
  at.server->drained([&] { drained.put(1); });
  const auto text = busy.read_all();
  CHECK(status_line(text) == "HTTP/1.1 503 Service Unavailable");
  CHECK(has(text, "this server is stopping"));
  at.io.run([] {});
  CHECK(drained.empty());
  if (closes) busy.close();
  CHECK(drained.next() == 1);
}

TEST_CASE("an address in use is named, with what to do about it") {
  served at;
  server_options taken;
  taken.port = at.server->port();
  const auto second = http_server::listen(at.io, taken, echo);
  REQUIRE(!second.has_value());
  CHECK(second.error().code == errc::incompatible);
  CHECK(second.error().where == "127.0.0.1:" + std::to_string(taken.port));
  CHECK(has(second.error().what, "choose another port"));
}

TEST_CASE("an address of another machine is refused") {
  loop io;
  server_options other;
  other.host = "192.0.2.1";
  const auto listening = http_server::listen(io, other, echo);
  REQUIRE(!listening.has_value());
  CHECK(listening.error().code == errc::invalid);
}

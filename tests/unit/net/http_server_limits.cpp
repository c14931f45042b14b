#include <sstream>

#include "reseq/net/http_server.hpp"
#include "served.hpp"

using namespace reseq;
using namespace reseq::net;
using namespace reseq::test;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view expect = "Expect: 100-continue\r\n";

constexpr std::string_view in_chunks = " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A chunk of so many bytes.
std::string chunk(std::size_t size) {
  std::ostringstream made;
  made << std::hex << size << "\r\n" << std::string(size, 'x') << "\r\n";
  return made.str();
}

constexpr std::string_view last_chunk = "0\r\n\r\n";

/// Requests that were not answered yet, by path.
using kept_requests = inbox<std::pair<std::string, responder>>;

auto keep_in(kept_requests& all) {
  return [&all](const http_request& request, responder answer) { all.put({request.path, std::move(answer)}); };
}

} // namespace

TEST_CASE("a client is invited to send its body once the request is admitted") {
  inbox<std::string> asked;
  server_options options;
  options.admit = [&](const http_request& head) -> std::optional<http_response> {
    asked.put(head.path + head.body);
    if (head.path == "/secret") return http_response{401, "text/plain", {}, "who are you"};
    return std::nullopt;
  };
  served at(options);
  auto client = at.connect();
  const auto request = post("/open", "12345", expect);
  REQUIRE(client.send(request.substr(0, request.size() - 5)));
  CHECK(client.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  REQUIRE(client.send("12345"));
  CHECK(has(client.read_message(), "POST /open? 12345"));
  CHECK(asked.next() == "/open");

  REQUIRE(client.send(post("/secret", "", expect) + get("/open"))); // refused, no body: the connection goes on
  CHECK(status_line(client.read_message()) == "HTTP/1.1 401 Unauthorized");
  CHECK(has(client.read_message(), "GET /open"));

  const auto refused = post("/secret", "12345", expect);
  REQUIRE(client.send(refused.substr(0, refused.size() - 5)));
  const auto answer = client.read_all();
  CHECK(status_line(answer) == "HTTP/1.1 401 Unauthorized");
  CHECK(has(answer, "Connection: close"));
}

TEST_CASE("a body over its route's limit is refused without being read, and the client gets to know") {
  server_options options;
  options.max_body = 1U << 20U;
  options.body_limit = [](std::string_view method, std::string_view path) {
    return method == "POST" && path == "/small" ? 10U : 1U << 30U;
  };
  served at(options);
  SECTION("when a length says so") {
    auto client = at.connect();
    REQUIRE(client.send("POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n"));
    CHECK(status_line(client.read_all()) == "HTTP/1.1 413 Content Too Large");
  }
  SECTION("when it comes in chunks") {
    auto client = at.connect();
    REQUIRE(client.send("POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n6\r\n"));
    CHECK(status_line(client.read_all()) == "HTTP/1.1 413 Content Too Large");
  }
  SECTION("when the client sends all of it before it looks") {
    auto client = at.connect();
    REQUIRE(client.send(post("/other", std::string(5U << 20U, 'x'))));
    client.shutdown_send();
    CHECK(status_line(client.read_all()) == "HTTP/1.1 413 Content Too Large");
  }
  SECTION("but one that just fits is taken") {
    auto client = at.connect();
    REQUIRE(client.send(post("/small", "0123456789")));
    CHECK(has(client.read_message(), "0123456789"));
  }
}

TEST_CASE("bad requests are answered and the connection closes") {
  served at;
  const auto [text, status] = GENERATE(table<std::string, std::string>({
    {"nonsense\r\n\r\n", "400 Bad Request"},
    {"GET / HTTP/1.1\nHost: x\n\n", "400 Bad Request"},
    {"GET / HTTP/1.1\r\n\r\n", "400 Bad Request"},
    {"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", "501 Not Implemented"},
    {"PRI * HTTP/2.0\r\n\r\n", "505 HTTP Version Not Supported"},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400 Bad Request"},
    {"GET /" + std::string(9000, 'a'), "414 URI Too Long"},
    {"GET / HTTP/1.1\r\nA: " + std::string(40'000, 'a'), "431 Request Header Fields Too Large"},
  }));
  CAPTURE(status);
  auto client = at.connect();
  REQUIRE(client.send(text + get("/never")));
  const auto answer = client.read_all();
  CHECK(status_line(answer) == "HTTP/1.1 " + status);
  CHECK(has(answer, "Connection: close"));
  CHECK(!has(answer, "/never"));
}

TEST_CASE("the server's own errors are rendered as the program wants") {
  loop io;
  const auto at = http_server::listen(io, {}, echo, {}, [](unsigned status, const std::string& detail) {
    return http_response{status, "text/x-problem", {}, "oops: " + detail};
  });
  io.start();
  auto client = raw_socket::connect((*at)->port());
  REQUIRE(client.send("BREW / HTTP/1.1\r\nHost: x\r\n\r\n"));
  const auto answer = client.read_all();
  CHECK(has(answer, "text/x-problem"));
  CHECK(has(answer, "oops: method BREW is not supported"));
}

TEST_CASE("slow clients run out of time") {
  server_options options;
  options.header_timeout = 40ms;
  options.body_timeout = 40ms;
  options.idle_timeout = 40ms;
  served at(options);
  auto client = at.connect();
  SECTION("in the header") {
    REQUIRE(client.send("GET / HT"));
    CHECK(status_line(client.read_all()) == "HTTP/1.1 408 Request Timeout");
  }
  SECTION("in the body") {
    REQUIRE(client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc"));
    CHECK(status_line(client.read_all()) == "HTTP/1.1 408 Request Timeout");
  }
  SECTION("before any request") { CHECK(client.read_all().empty()); }
  SECTION("after a request") {
    REQUIRE(client.send(get("/")));
    CHECK(!client.read_message().empty());
    CHECK(client.read_all().empty());
  }
}

TEST_CASE("a client that does not read its answer is cut off") {
  server_options options;
  options.write_timeout = 40ms;
  served at(options, [](const http_request&, const responder& answer) {
    answer({200, "", {}, std::string(64U << 20U, 'x')});
  });
  auto client = at.connect();
  REQUIRE(client.send(get("/")));
  CHECK(at.closed.next() > 0);
}

TEST_CASE("bodies that do not fit into the server's memory wait until those before them are answered") {
  kept_requests held;
  server_options options;
  options.max_buffered = 10'000;
  served at(options, keep_in(held));
  auto first = at.connect();
  REQUIRE(first.send(post("/first", std::string(9'000, 'x'))));
  auto [path, answer] = held.next();
  CHECK(path == "/first");

  auto second = at.connect();
  REQUIRE(second.send(post("/second", std::string(9'000, 'x'))));
  auto with_small_body = at.connect();
  REQUIRE(with_small_body.send(post("/third", std::string(4096, 'x'))));
  auto third = held.next();
  CHECK(third.first == "/third"); // the loop has seen, or will see, the second: it cannot be handled before the answer
  CHECK(held.empty());

  answer({200, "", {}, ""});
  CHECK(status_line(first.read_message()) == "HTTP/1.1 200 OK");
  auto next = held.next();
  CHECK(next.first == "/second");
  next.second({200, "", {}, ""});
  CHECK(status_line(second.read_message()) == "HTTP/1.1 200 OK");
}

TEST_CASE("a body that waits for room is refused in the end, and nobody waits for it then") {
  kept_requests held;
  server_options options;
  options.max_buffered = 10'000;
  options.body_timeout = 20ms;
  served at(options, keep_in(held));
  auto first = at.connect();
  REQUIRE(first.send(post("/first", std::string(9'000, 'x'))));
  auto before = held.next();
  auto second = at.connect();
  REQUIRE(second.send(post("/second", std::string(9'000, 'x'))));
  CHECK(status_line(second.read_all()) == "HTTP/1.1 503 Service Unavailable");
  before.second({200, "", {}, ""});
  CHECK(status_line(first.read_message()) == "HTTP/1.1 200 OK");
  auto third = at.connect();
  REQUIRE(third.send(post("/third", std::string(9'000, 'x'))));
  auto next = held.next();
  CHECK(next.first == "/third");
  next.second({200, "", {}, ""});
  CHECK(status_line(third.read_message()) == "HTTP/1.1 200 OK");
}

TEST_CASE("a slow body is read while nobody else needs its room, and no longer") {
  kept_requests held;
  server_options options;
  options.max_buffered = 2'000'000;
  options.body_timeout = 300ms;
  served at(options, keep_in(held));
  auto slow = at.connect();
  REQUIRE(slow.send("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n"));
  auto other = at.connect();
  REQUIRE(other.send(post("/other", std::string(9'000, 'x'))));
  // A little with each answer to somebody else: many KiB in each timeout, and no MiB.
  auto pace = at.connect();
  std::string first;
  for (int i = 0; i < 100'000 && (first.empty() || first == "/"); ++i) {
    REQUIRE(pace.send(get("/")));
    auto asked = held.next();
    first = asked.first;
    asked.second({200, "", {}, ""});
    if (first == "/") REQUIRE(!pace.read_message().empty());
    (void)slow.send(std::string(10, 'x')); // until it is cut off
  }
  CHECK(first == "/other");
  CHECK(status_line(other.read_message()) == "HTTP/1.1 200 OK");
  CHECK(status_line(slow.read_all()) == "HTTP/1.1 408 Request Timeout");
}

TEST_CASE("many requests in line for memory are all served, and one larger than all memory too") {
  server_options options;
  options.max_buffered = 5'000;
  served at(options);
  std::vector<raw_socket> clients;
  for (int i = 0; i < 50; ++i) {
    clients.push_back(at.connect());
    REQUIRE(clients.back().send(post("/", std::string(static_cast<std::size_t>(i + 4'990), 'x'))));
  }
  for (auto& client : clients) CHECK(status_line(client.read_message()) == "HTTP/1.1 200 OK");
}

TEST_CASE("bodies in chunks take the memory that they have filled, whatever they may become") {
  kept_requests held;
  server_options options;
  options.max_body = 16U << 20U;
  options.max_buffered = 1U << 20U;
  served at(options, keep_in(held));
  std::vector<raw_socket> slow;
  for (int i = 0; i < 8; ++i) {
    slow.push_back(at.connect());
    REQUIRE(slow.back().send("POST /slow" + std::string(in_chunks) + chunk(5'000)));
  }
  auto other = at.connect();
  REQUIRE(other.send(post("/other", std::string(400'000, 'x'))));
  auto next = held.next();
  CHECK(next.first == "/other");
  next.second({200, "", {}, ""});
  CHECK(status_line(other.read_message()) == "HTTP/1.1 200 OK");
  REQUIRE(slow.front().send(chunk(200'000) + chunk(200'000) + std::string(last_chunk)));
  next = held.next();
  CHECK(next.first == "/slow");
  next.second({200, "", {}, ""});
  CHECK(status_line(slow.front().read_message()) == "HTTP/1.1 200 OK");
}

TEST_CASE("a body in chunks that cannot grow any further is refused, and holds nobody up") {
  kept_requests held;
  server_options options;
  options.max_buffered = 170'000;
  served at(options, keep_in(held));
  auto first = at.connect();
  REQUIRE(first.send(post("/first", std::string(100'000, 'x'))));
  auto before = held.next();
  auto growing = at.connect();
  REQUIRE(growing.send("POST /growing" + std::string(in_chunks) + chunk(50'000) + chunk(50'000)));
  const auto answer = growing.read_all();
  CHECK(status_line(answer) == "HTTP/1.1 503 Service Unavailable");
  CHECK(has(answer, "Connection: close"));
  auto small = at.connect();
  REQUIRE(small.send("POST /small" + std::string(in_chunks) + chunk(50'000) + std::string(last_chunk)));
  auto next = held.next();
  CHECK(next.first == "/small");
  next.second({200, "", {}, ""});
  before.second({200, "", {}, ""});
  REQUIRE(small.read_message().starts_with("HTTP/1.1 200"));
  auto again = at.connect();
  REQUIRE(again.send("POST /again" + std::string(in_chunks) + chunk(50'000) + chunk(50'000) + std::string(last_chunk)));
  CHECK(held.next().first == "/again");
}

TEST_CASE("a body in chunks waits for its first memory beyond what each has") {
  kept_requests held;
  server_options options;
  options.max_buffered = 10'000;
  served at(options, keep_in(held));
  auto first = at.connect();
  REQUIRE(first.send(post("/first", std::string(9'000, 'x'))));
  auto before = held.next();
  auto waiting = at.connect();
  REQUIRE(waiting.send("POST /waiting" + std::string(in_chunks) + chunk(5'000) + std::string(last_chunk)));
  auto small = at.connect();
  REQUIRE(small.send("POST /small" + std::string(in_chunks) + chunk(1'000) + std::string(last_chunk)));
  CHECK(held.next().first == "/small");
  CHECK(held.empty());
  before.second({200, "", {}, ""});
  CHECK(held.next().first == "/waiting");
}

TEST_CASE("a body in chunks may be larger than all memory when nothing else is") {
  server_options options;
  options.max_buffered = 100'000;
  served at(options);
  auto client = at.connect();
  REQUIRE(client.send("POST /" + std::string(in_chunks) + chunk(300'000) + chunk(300'000) + std::string(last_chunk)));
  const auto answer = client.read_message();
  CHECK(status_line(answer) == "HTTP/1.1 200 OK");
  CHECK(answer.size() > 600'000);
}

TEST_CASE("requests wait until what handling them takes is there") {
  kept_requests held;
  server_options options;
  options.max_handling = 1'000;
  options.handling_cost = [](const http_request& whole) { return whole.body.size() == 4 ? 5'000U : whole.body.size(); };
  served at(options, keep_in(held));
  auto first = at.connect();
  REQUIRE(first.send(post("/first", std::string(600, 'x'))));
  auto before = held.next();
  auto second = at.connect();
  REQUIRE(second.send(post("/second", std::string(600, 'x'))));
  auto third = at.connect();
  REQUIRE(third.send(get("/third"))); // takes nothing
  CHECK(held.next().first == "/third");
  CHECK(held.empty());
  before.second({200, "", {}, ""});
  auto next = held.next();
  CHECK(next.first == "/second");
  auto more_than_there_is = at.connect();
  REQUIRE(more_than_there_is.send(post("/more", "xxxx")));
  next.second({200, "", {}, ""});
  CHECK(held.next().first == "/more");
}

TEST_CASE("connections beyond the limit are told so, and taken again once there is room") {
  server_options options;
  options.max_connections = 1;
  served at(options);
  auto first = at.connect();
  REQUIRE(first.send(get("/a")));
  CHECK(has(first.read_message(), "GET /a"));
  {
    auto second = at.connect();
    REQUIRE(second.send(get("/b")));
    CHECK(status_line(second.read_all()) == "HTTP/1.1 503 Service Unavailable");
  }
  at.closed.next();
  first.close();
  at.closed.next();
  auto third = at.connect();
  REQUIRE(third.send(get("/c")));
  CHECK(has(third.read_message(), "GET /c"));
}

TEST_CASE("an IPv6 address is listened on, with brackets or without") {
  loop io;
  server_options options;
  options.host = GENERATE("::1", "[::1]");
  const auto at = http_server::listen(io, options, echo);
  if (!at) { // a machine without IPv6 says so
    CHECK(has(at.error().where, "[::1]"));
    return;
  }
  CHECK((*at)->port() > 0);
}

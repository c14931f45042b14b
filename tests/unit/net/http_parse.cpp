#include "reseq/net/detail/http_parse.hpp"

#include <random>
#include <string>
#include <string_view>
#include <utility>

#include "catch.hpp"
#include "reseq/net/detail/byte_budget.hpp"
#include "reseq/net/detail/http_body.hpp"
#include "reseq/net/detail/http_format.hpp"

using namespace reseq;
using namespace reseq::net;
using namespace reseq::net::detail;

namespace {

/// The status a request is refused with, or 0; `lines` without the last CR LF CR LF.
unsigned refusal(const std::string& lines) {
  const auto text = lines + "\r\n\r\n";
  head_scanner scanner;
  const auto size = scanner.scan(text);
  if (!size) return size.error().status;
  if (*size != text.size()) return 1;
  const auto head = parse_request_head(text);
  return head ? 0 : head.error().status;
}

/// The payload of a chunked body given in pieces of `step` bytes, or "malformed", or "unfinished".
std::string decoded(std::string_view text, std::size_t step) {
  body_decoder decoder({body_framing::kind::chunked, 0});
  std::string payload;
  while (!text.empty() && !decoder.done()) {
    auto part = text.substr(0, step);
    text.remove_prefix(part.size());
    while (!part.empty() && !decoder.done()) {
      const auto piece = decoder.next(part);
      if (!piece) return "malformed";
      payload.append(piece->data);
      part.remove_prefix(piece->consumed);
    }
  }
  return decoder.done() ? payload : "unfinished";
}

} // namespace

TEST_CASE("a request head is read") {
  const auto head = parse_request_head("POST /a%20b?c=d&e HTTP/1.1\r\nHost: x:1\r\ncontent-length:5\r\n"
                                       "X-Padded: \t some thing \t\r\nExpect: 100-Continue\r\n\r\n");
  REQUIRE(head.has_value());
  CHECK(head->request.method == "POST");
  CHECK(head->request.path == "/a%20b");
  CHECK(head->request.query == "c=d&e");
  CHECK(find_header(head->request.headers, "x-padded") == "some thing");
  CHECK(head->body.by == body_framing::kind::length);
  CHECK(head->body.length == 5);
  CHECK(head->keep_alive);
  CHECK(head->expects_continue);
}

TEST_CASE("an absolute target gives its path") {
  CHECK(parse_request_head("GET http://x:1/a?b HTTP/1.1\r\nHost: x\r\n\r\n")->request.path == "/a");
  CHECK(parse_request_head("GET HTTP://x?b HTTP/1.1\r\nHost: x\r\n\r\n")->request.path == "/");
  CHECK(parse_request_head("GET HTTP://x?b HTTP/1.1\r\nHost: x\r\n\r\n")->request.query == "b");
}

TEST_CASE("a connection is kept as version and header say") {
  CHECK(parse_request_head("GET / HTTP/1.1\r\nHost: x\r\n\r\n")->keep_alive);
  CHECK(!parse_request_head("GET / HTTP/1.1\r\nHost: x\r\nConnection: TE, Close\r\n\r\n")->keep_alive);
  CHECK(!parse_request_head("GET / HTTP/1.0\r\n\r\n")->keep_alive);
  CHECK(parse_request_head("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")->keep_alive);
}

TEST_CASE("a request head that could be misread is refused") {
  const auto [lines, status] = GENERATE(table<std::string, unsigned>({
    {"GET / HTTP/1.1", 400},                                                                        // no Host
    {"GET / HTTP/1.1\r\nHost: a\r\nHost: a", 400},                                                  // twice
    {"GET / HTTP/1.1\r\nHost: a/b", 400},                                                           //
    {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked", 400},          //
    {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2", 400},                   //
    {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1", 400},                   // even the same
    {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1", 400},                                     //
    {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1", 400},                                       //
    {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: +1", 400},                                       //
    {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1", 400},                                      //
    {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1 1", 400},                                      //
    {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 01", 400},                  //
    {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity", 501},                     //
    {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked", 501},                              //
    {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked;q=1", 501},                           //
    {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \"chunked\"", 501},                           //
    {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \vchunked", 400},                             //
    {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:", 501},                                       //
    {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked", 400},                              //
    {"GET / HTTP/1.1\r\nHost: x\r\nTransfer_Encoding: chunked", 0},                                 // another header
    {"GET / HTTP/1.1\r\n Host: x", 400},                                                            // folded, but what
    {"GET x:80 HTTP/1.1\r\nHost: x", 400},                                                          // authority-form
    {"GET ftp://x/ HTTP/1.1\r\nHost: x", 400},                                                      //
    {"GET / HTTP/1.1\r\nHost: u@x", 400},                                                           //
    {"GET /\x7f HTTP/1.1\r\nHost: x", 400},                                                         //
    {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length:", 400},                                          //
    {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999", 400},                     //
    {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked", 501},                         //
    {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 501}, //
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked", 400},                                         //
    {"POST / HTTP/1.0", 411},                                                                       //
    {"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded", 400},                                          //
    {"GET / HTTP/1.1\r\nHost: x\r\nA : b", 400},                                                    //
    {"GET / HTTP/1.1\r\nHost: x\r\n: b", 400},                                                      //
    {"GET / HTTP/1.1\r\nHost: x\r\nno colon", 400},                                                 //
    {"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc", 400},                                                  // bare CR
    {"GET / HTTP/1.1\r\nHost: x\r\nA: b\nB: c", 400},                                               // bare LF
    {"GET / HTTP/1.1\nHost: x", 400},                                                               //
    {"GET / HTTP/1.1\r\nHost: x\r\nA: \x01", 400},                                                  //
    {"GET / HTTP/1.1\r\nHost: x\r\nExpect: tea", 417},                                              //
    {"GET / HTTP/2.0\r\nHost: x", 505},                                                             //
    {"PRI * HTTP/2.0", 505},                                                                        //
    {"GET / http/1.1\r\nHost: x", 400},                                                             //
    {"GET / HTTP/1.1x\r\nHost: x", 400},                                                            //
    {"GET /\r\nHost: x", 400},                                                                      // HTTP/0.9
    {"GET  / HTTP/1.1\r\nHost: x", 400},                                                            //
    {"GET /a b HTTP/1.1\r\nHost: x", 400},                                                          //
    {"GET a HTTP/1.1\r\nHost: x", 400},                                                             //
    {"GET /#a HTTP/1.1\r\nHost: x", 400},                                                           //
    {"GET * HTTP/1.1\r\nHost: x", 400},                                                             //
    {"OPTIONS * HTTP/1.1\r\nHost: x", 0},                                                           //
    {"G@T / HTTP/1.1\r\nHost: x", 400},                                                             //
    {"CONNECT x:1 HTTP/1.1\r\nHost: x", 501},                                                       //
    {"BREW / HTTP/1.1\r\nHost: x", 501},                                                            //
  }));
  CAPTURE(lines);
  CHECK(refusal(lines) == status);
}

TEST_CASE("heads that are too long are refused while they grow") {
  head_scanner scanner;
  CHECK(scanner.scan("GET /" + std::string(max_start_line_bytes, 'a')).error().status == 414);
  std::string many = "GET / HTTP/1.1\r\n";
  for (std::size_t i = 0; i <= max_head_fields; ++i) many += "a: b\r\n";
  CHECK(refusal(many + "Host: x") == 431);
  CHECK(refusal("GET / HTTP/1.1\r\nA: " + std::string(max_head_bytes, 'a')) == 431);
}

TEST_CASE("a damaged request is judged alike whether it comes at once or byte by byte") {
  const std::string sound = "POST /a?b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n";
  const auto seed = GENERATE(range(1U, 500U));
  CAPTURE(seed);
  std::minstd_rand random(seed);
  auto text = sound;
  for (auto damage = random() % 3 + 1; damage > 0; --damage) {
    text[random() % text.size()] = "\r\n :\t\0aA1/\x7f\xff"[random() % 12];
  }
  head_scanner at_once;
  const auto whole = at_once.scan(text);
  head_scanner by_byte;
  parsed<std::size_t> pieces = std::size_t{0};
  for (std::size_t size = 1; size <= text.size() && pieces && *pieces == 0; ++size) {
    pieces = by_byte.scan(std::string_view(text).substr(0, size));
  }
  REQUIRE(whole.has_value() == pieces.has_value());
  if (!whole) return;
  CHECK(*whole == *pieces);
  const auto head = parse_request_head(std::string_view(text).substr(0, *whole));
  if (head) CHECK((head->request.path.starts_with('/') || head->request.path == "*"));
}

TEST_CASE("a chunked body is the same however it is cut") {
  const std::string text = "4;name=\"v\"\r\nwiki\r\n1A \r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nTrailer: x\r\n\r\nrest";
  for (std::size_t step = 1; step <= text.size(); ++step) {
    CAPTURE(step);
    CHECK(decoded(text, step) == "wikiabcdefghijklmnopqrstuvwxyz");
  }
}

TEST_CASE("a malformed chunked body is found out") {
  const auto* const text = GENERATE("\r\n", "g\r\n", "-1\r\n", "1\nx", "1\r\nxx\r\n", "1\r\nx\n", "0\r\n\n",
                                    "0\r\nA: b\n\r\n", "1000000000000000\r\n", "1;a\nb\r\n", "1\rx", "1 1\r\n",
                                    "1 x\r\n", " 1\r\n", "+1\r\n", "0x1\r\n", "ffffffffffffffffffff\r\n", "1;a\rb\r\n");
  CAPTURE(text);
  CHECK(decoded(text, 1) == "malformed");
  CHECK(decoded(text, 100) == "malformed");
  CHECK(decoded("1;" + std::string(9000, 'a'), 100) == "malformed");
}

TEST_CASE("a body may come in as many small chunks as it likes") {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "1\r\nx\r\n";
  CHECK(decoded(text + "0\r\n\r\n", 4096) == std::string(20'000, 'x'));
  CHECK(decoded("1" + std::string(9000, ' ') + "\r\n", 100) == "malformed");
}

TEST_CASE("answers tell how their body ends") {
  const auto kind = [](const std::string& lines, std::string_view method) {
    return parse_response_head(lines + "\r\n\r\n", method)->body.by;
  };
  CHECK(kind("HTTP/1.1 200 OK\r\nContent-Length: 3", "POST") == body_framing::kind::length);
  CHECK(kind("HTTP/1.1 200 OK\r\nContent-Length: 3", "HEAD") == body_framing::kind::none);
  CHECK(kind("HTTP/1.1 200\r\nTransfer-Encoding: chunked", "POST") == body_framing::kind::chunked);
  CHECK(kind("HTTP/1.1 200 OK", "POST") == body_framing::kind::until_close);
  CHECK(kind("HTTP/1.1 204 No Content", "POST") == body_framing::kind::none);
  CHECK(kind("HTTP/1.1 100 Continue", "POST") == body_framing::kind::none);
}

TEST_CASE("what is no HTTP answer is malformed") {
  const auto* const lines = GENERATE("SSH-2.0-OpenSSH", "HTTP/1.1 20 OK", "HTTP/1.1 2000", "HTTP/1.1 abc", "HTTP/1.1",
                                     "HTTP/2.0 200 OK", "HTTP/1.1 099 X", "HTTP/1.1 200 OK\r\nContent-Length: x");
  CAPTURE(lines);
  CHECK(!parse_response_head(std::string(lines) + "\r\n\r\n", "POST").has_value());
}

TEST_CASE("headers cannot smuggle lines or framing into a message") {
  http_response answer;
  answer.headers = {{"X-A", "b\r\nX-Evil: 1"}, {"Content-Length", "99"}, {"Bad Name", "x"}, {"X-C", "d"}};
  answer.body = "abc";
  const auto head = format_response_head(answer, "close", "Sun, 06 Nov 1994 08:49:37 GMT");
  CHECK(head == "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-A: b  X-Evil: 1\r\nX-C: d\r\n"
                "Content-Length: 3\r\nConnection: close\r\n\r\n");
}

TEST_CASE("a date is written as HTTP wants it") {
  CHECK(format_date(std::chrono::sys_seconds{std::chrono::seconds{784111777}}) == "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST_CASE("a budget serves those who wait in line, each once there is room") {
  byte_budget budget(10);
  std::string order;
  const auto grant = [&](char name, bool wanted = true) {
    return [&order, name, wanted] {
      order.push_back(name);
      return wanted;
    };
  };
  CHECK(budget.take(8, grant('a')));
  CHECK(!budget.take(5, grant('b', false)));
  CHECK(!budget.take(20, grant('c')));
  CHECK(!budget.take(1, grant('d'))); // would fit, but must not overtake
  budget.give(8);
  CHECK(order == "bc"); // more than there is, once nothing else is taken
  CHECK(budget.used() == 20);
  budget.give(20);
  CHECK(order == "bcd");
  CHECK(budget.used() == 1);
}

TEST_CASE("memory that somebody has grows before those in line, or not at all") {
  byte_budget budget(100);
  REQUIRE(budget.take(10, {}));
  REQUIRE(budget.take(40, {}));
  CHECK(budget.grow(40, 30));
  CHECK(!budget.contended());
  CHECK(!budget.grow(70, 21));
  CHECK(budget.used() == 80);
  CHECK(budget.contended());
  bool told = false;
  CHECK(!budget.take(50, [&] { return told = true; }));
  CHECK(budget.grow(70, 20));
  budget.give(90);
  CHECK(told);
  CHECK(!budget.contended());
  budget.give(10);
  CHECK(budget.grow(50, 500)); // nobody else has any
  CHECK(budget.used() == 550);
}

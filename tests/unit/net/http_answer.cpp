#include "reseq/net/detail/http_answer.hpp"

#include <string>

#include "catch.hpp"

using namespace reseq;
using namespace reseq::net;
using namespace reseq::net::detail;

namespace {

constexpr client_limits limits{8, 16};

/// "STATUS body", with " cut" behind a body that is longer, " closes" where the connection carries nothing more, and
/// " …" where only the end of the stream completes it; "" while it is not complete; or why it is malformed.
std::string read(std::string_view text, std::size_t step, const std::string& method = "POST") {
  answer_reader reader(method, limits);
  std::string in;
  while (!text.empty() && !reader.done()) {
    in += text.substr(0, step);
    text.remove_prefix(std::min(step, text.size()));
    const auto taken = reader.take(in);
    if (!taken) return taken.error().detail;
    in.erase(0, *taken);
  }
  if (!reader.done() && !reader.ends_with_stream()) return {};
  const std::string end = !reader.done() ? " …" : reader.keeps_connection() ? "" : " closes";
  const auto answer = reader.take_answer();
  return std::to_string(answer.status) + " " + answer.body + (answer.truncated ? " cut" : "") + end;
}

std::string times(std::size_t count, std::string_view text) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += text;
  return all;
}

} // namespace

TEST_CASE("each answer is read for what it is, however it is cut") {
  const std::string interim = "HTTP/1.1 102 Processing\r\nA: b\r\n\r\n";
  const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const auto [text, meaning] = GENERATE_COPY(table<std::string, std::string>({
    {ok, "200 ok"},
    {"HTTP/1.1 100 Continue\r\n\r\n" + interim + "HTTP/1.1 103 Early Hints\r\n\r\n" + ok, "200 ok"},
    {times(max_interim_answers, interim) + ok, "200 ok"},
    {times(max_interim_answers + 1, interim) + ok, "interim answers (1xx) do not end"},
    {interim, ""},
    {"HTTP/1.1 101 Switching Protocols\r\n\r\n", "it switches protocols unasked"},
    {"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", "204 "},
    {"HTTP/1.1 304 Not Modified\r\n\r\n", "304 "},
    {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", "200 ok closes"},
    {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 ok closes"},
    {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", "200 ok"},
    {"HTTP/1.1 200 OK\r\n\r\nok", "200 ok …"},
    {"HTTP/1.1 500 \r\nContent-Length: 12\r\n\r\nlonger words", "500 longer w cut"},
    {"HTTP/1.1 500 \r\nContent-Length: 99999999999\r\n\r\n" + std::string(17, 'x'), "500 xxxxxxxx cut closes"},
    {"HTTP/1.1 200 OK\r\n\r\n" + std::string(17, 'x'), "200 xxxxxxxx cut closes"},
    {chunked + "1\r\no\r\n1;a=b\r\nk\r\n0\r\nT: x\r\n\r\n", "200 ok"},
    {chunked + times(17, "1\r\nx\r\n"), "200 xxxxxxxx cut closes"},
    {chunked + "2\r\nok\r\n", ""},
    {chunked + "2\r\nokay", "the chunked body is malformed"},
    {chunked + "fffffffffffffffff\r\n", "the chunked body is malformed"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
     "both Transfer-Encoding and Content-Length are given"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", "two Content-Length headers differ"},
    {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "header Content-Length is not a number of bytes"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "the only Transfer-Encoding supported is chunked, once"},
    {"HTTP/1.1 200 OK\nA: b\n\n", "a line ends in LF without CR"},
    {"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "a header is folded over several lines"},
    {"SSH-2.0-OpenSSH_9.2\r\n\r\n", "the answer does not start with HTTP/1.1"},
    {"HTTP/1.1 20x\r\n\r\n", "the answer's status is not a number of three digits"},
    {"HTTP/1.1 200 " + std::string(9000, 'a'), "the start line is longer than 8 KiB"},
    {"HTTP/1.1 200 OK\r\nA: " + std::string(40'000, 'a'), "the header section is longer than 32 KiB"},
    {"HTTP/1.1 200 OK\r\n" + times(300, "A: b\r\n") + "\r\n", "more than 256 headers"},
  }));
  CAPTURE(text.substr(0, 200));
  CHECK(read(text, std::string::npos) == meaning);
  CHECK(read(text, 1) == meaning);
  CHECK(read(text, 7) == meaning);
}

TEST_CASE("an answer to HEAD has no body") {
  CHECK(read("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", 1, "HEAD") == "200 ");
}

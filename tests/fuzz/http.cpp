#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "reseq/net/detail/http_answer.hpp"
#include "reseq/net/detail/http_body.hpp"
#include "reseq/net/detail/http_parse.hpp"
#include "targets.hpp"

namespace reseq::fuzz {
namespace {

using namespace net;
using namespace net::detail;

struct seen_request {
  request_head head;
  std::string body;
  bool complete = false;
  std::size_t ends_at = 0; ///< in the stream
};

/// Takes requests from a stream as `http_session` does, and writes down what it saw.
class request_stream {
public:
  /// False once nothing more can be read.
  bool feed(std::string_view piece) {
    if (!error_.empty()) return false;
    in_.append(piece);
    while (take_something()) {
    }
    return error_.empty();
  }

  [[nodiscard]] const std::vector<seen_request>& requests() const { return requests_; }

  [[nodiscard]] std::string text() const {
    std::string out;
    for (const auto& [head, body, complete, ends_at] : requests_) {
      out += head.request.method + " " + head.request.path + " ? " + head.request.query + "\n";
      for (const auto& [name, value] : head.request.headers) out += name + "=" + value + "\n";
      out += head.keep_alive ? "keep" : "close";
      out += (head.expects_continue ? " expects " : " ") + (complete ? std::to_string(ends_at) : "part ");
      out += body + "\n";
    }
    return out + error_;
  }

private:
  bool take_something() {
    const auto before = in_.size();
    const auto had = requests_.size();
    if (!requests_.empty() && !requests_.back().complete) {
      take_body();
    } else {
      take_head();
    }
    return error_.empty() && (in_.size() != before || requests_.size() != had);
  }

  void take_head() {
    if (in_.starts_with("\r\n")) {
      scanner_ = {};
      return take(2);
    }
    const auto size = scanner_.scan(in_);
    if (!size) return give_up(size.error());
    if (*size == 0) return;
    require(std::string_view(in_).substr(0, *size).ends_with("\r\n\r\n"), "a head ends with an empty line");
    auto head = parse_request_head(std::string_view(in_).substr(0, *size));
    scanner_ = {};
    if (!head) return give_up(head.error());
    decoder_ = body_decoder(head->body);
    requests_.push_back({std::move(*head), {}, decoder_.done(), 0});
    take(*size);
    requests_.back().ends_at = taken_;
  }

  void take_body() {
    if (in_.empty()) return;
    const auto piece = decoder_.next(in_);
    if (!piece) return give_up(piece.error());
    require(piece->consumed > 0, "the decoder goes on while the body is not done");
    auto& now = requests_.back();
    now.body.append(piece->data);
    take(piece->consumed);
    now.complete = decoder_.done();
    now.ends_at = taken_;
  }

  void take(std::size_t size) {
    in_.erase(0, size);
    taken_ += size;
  }

  void give_up(const protocol_error& why) {
    error_ = std::to_string(why.status) + " " + why.detail;
    require(why.status >= 400 && why.status <= 505, "a refusal has a status");
  }

  std::string in_;
  std::size_t taken_ = 0;
  head_scanner scanner_;
  body_decoder decoder_;
  std::vector<seen_request> requests_;
  std::string error_;
};

/// What was understood, written down once more, is understood alike.
void check_says_one_thing(const request_head& head) {
  const auto& request = head.request;
  auto text = request.method + " " + request.path + (request.query.empty() ? "" : "?" + request.query);
  text += head.http_1_0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n";
  for (const auto& [name, value] : request.headers) text += name + ": " + value + "\r\n";
  text += "\r\n";
  head_scanner scanner;
  const auto size = scanner.scan(text);
  require(size && *size == text.size(), "no value holds the end of a head");
  const auto again = parse_request_head(text);
  require(again.has_value(), "an accepted head is accepted again");
  require(again->request.path == request.path && again->request.query == request.query, "the target is the same");
  require(again->request.headers == request.headers, "the headers are the same");
  require(again->body.by == head.body.by && again->body.length == head.body.length, "the framing is the same");
}

void run_request(std::string_view input) {
  cutter cut(input);
  request_stream at_once;
  at_once.feed(cut.whole());
  request_stream in_pieces;
  while (!cut.done() && in_pieces.feed(cut.next())) {
  }
  require(at_once.text() == in_pieces.text(), "a request reads the same however it is cut");
  for (const auto& one : at_once.requests()) check_says_one_thing(one.head);
}

/// Whoever stands in front of us may read with another parser: where Boost.Beast accepts a request too, it must see the
/// same target, the same body, and the same end.
void run_agrees(std::string_view input) {
  namespace http = boost::beast::http;
  request_stream ours;
  ours.feed(input);
  if (ours.requests().empty() || input.starts_with("\r\n")) return;
  const auto& first = ours.requests().front();
  http::request_parser<http::string_body> theirs;
  theirs.header_limit(1U << 20U);
  boost::beast::error_code refused;
  std::size_t used = 0;
  // Asked of the parser, since the message looks at the first of several Connection fields only; and before the body,
  // since it takes fields of the trailer in, where none of them may say anything about the connection (RFC
  // 9110, 6.5.1).
  std::optional<bool> they_keep;
  while (!refused && !theirs.is_done() && used < input.size()) {
    const auto size = theirs.put(boost::asio::buffer(input.data() + used, input.size() - used), refused);
    if (theirs.is_header_done() && !they_keep) they_keep = theirs.keep_alive();
    theirs.eager(they_keep.has_value());
    if (size == 0) break;
    used += size;
  }
  if (refused || !theirs.is_header_done()) return;
  const auto& got = theirs.get();
  require(std::string(got.method_string()) == first.head.request.method, "both see the same method");
  require(theirs.is_done() == first.complete, "both see the request end or not");
  if (!first.complete) return;
  require(used == first.ends_at, "both see the request end at the same byte");
  require(got.body() == first.body, "both see the same body");
  require(*they_keep || !first.head.keep_alive, "we keep no connection that they would close");
}

struct seen_answer {
  std::string text;
  std::size_t taken = 0;
};

constexpr client_limits read_limits{64, 4096};

seen_answer written_down(answer_reader& reader, std::size_t taken) {
  auto text = std::to_string(taken) + (reader.ends_with_stream() ? " to the end" : "") +
              (reader.done() ? reader.keeps_connection() ? " done, keeps" : " done" : " not done");
  if (!reader.done() && !reader.ends_with_stream()) return {text, taken};
  const auto answer = reader.take_answer();
  require(answer.status >= 200 && answer.status <= 999, "an answer has a final status");
  require(answer.body.size() <= read_limits.keep_body, "no more of a body is kept than allowed");
  text += " " + std::to_string(answer.status) + (answer.truncated ? " cut " : " ") + answer.body;
  for (const auto& [name, value] : answer.headers) text += "\n" + name + "=" + value;
  return {text, taken};
}

seen_answer read_answer(cutter cut, bool at_once) {
  answer_reader reader(cut.whole().starts_with("!") ? "HEAD" : "POST", read_limits);
  std::string in;
  std::size_t taken = 0;
  while (!cut.done() && !reader.done()) {
    in += at_once ? cut.whole() : cut.next();
    const auto size = reader.take(in);
    if (!size) return {"malformed: " + size.error().detail, 0};
    in.erase(0, *size);
    taken += *size;
    if (at_once) break;
  }
  return written_down(reader, taken);
}

void run_answer(std::string_view input) {
  const auto at_once = read_answer(cutter(input), true);
  const auto in_pieces = read_answer(cutter(input), false);
  // How much of a body that is too long was seen depends on how it came; what is kept of it does not.
  const auto strip = [](const std::string& text) { return text.substr(std::min(text.find(' '), text.size())); };
  require(strip(at_once.text) == strip(in_pieces.text), "an answer reads the same however it is cut");
}

std::string decoded(std::string_view text, std::size_t step, std::size_t& used) {
  body_decoder decoder({body_framing::kind::chunked, 0});
  std::string payload;
  used = 0;
  while (used < text.size() && !decoder.done()) {
    const auto piece = decoder.next(text.substr(used, step));
    if (!piece) return "malformed";
    require(piece->consumed > 0, "the decoder goes on while the body is not done");
    payload.append(piece->data);
    used += piece->consumed;
  }
  return (decoder.done() ? "whole " : "part ") + payload;
}

void run_body(std::string_view input) {
  cutter cut(input);
  std::size_t used = 0;
  std::size_t used_by_byte = 0;
  const auto at_once = decoded(cut.whole(), std::string_view::npos, used);
  require(at_once == decoded(cut.whole(), 1, used_by_byte), "a body reads the same however it is cut");
  require(at_once == "malformed" || used == used_by_byte, "a body ends at the same byte however it is cut");

  std::string framed;
  while (!cut.done()) {
    const auto piece = cut.next();
    std::array<char, 8> size{};
    framed.append(size.data(), std::to_chars(size.data(), size.data() + size.size(), piece.size(), 16).ptr);
    framed.append(";x=y\r\n").append(piece).append("\r\n");
  }
  framed += "0\r\nTrailer: z\r\n\r\n";
  require(decoded(framed, 7, used) == "whole " + std::string(cutter(input).whole()), "chunks join to what they carry");
}

} // namespace

std::vector<target> http_targets() {
  const std::string post = "POST /v1/pipelines/p/messages?a=b HTTP/1.1\r\nHost: x:1\r\nIdempotency-Key: \"a\"\r\n";
  const std::string chunks = "4;name=\"v\"\r\nwiki\r\n1A \r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nTrailer: x\r\n\r\n";
  const std::vector<std::string> requests = {
    post + "Content-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: y\r\n\r\n",
    post + "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n" + chunks,
    "GET / HTTP/1.0\r\nHost: h\r\nConnection: x\r\nConnection: keep-alive\r\n\r\n",
    "\r\nGET http://h:1/a?b HTTP/1.0\r\nConnection: keep-alive, x\r\n\r\nPOST /p HTTP/1.0\r\nContent-Length: "
    "1\r\n\r\nx",
    "OPTIONS * HTTP/1.1\r\nHost: [::1]:8080\r\nConnection: Close\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    post + "Transfer-Encoding: chunked\r\n\r\n0\r\nConnection: close\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
  };
  std::vector<std::string> cut_requests;
  for (const auto& one : requests) cut_requests.push_back("7" + one);
  return {
    {"http-request", run_request, cut_requests},
    {"http-agrees", run_agrees, requests},
    {"http-answer",
     run_answer,
     {"1HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
      "2HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200\r\nTransfer-Encoding: "
      "chunked\r\n\r\n" +
        chunks,
      "3HTTP/1.0 503 Busy\r\nRetry-After: 120\r\nConnection: keep-alive\r\n\r\nlater",
      "4HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
      "5HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
      "6HTTP/1.1 412 Precondition Failed\r\nReseq-Epoch: 8\r\nContent-Length: 5000\r\n\r\n" + std::string(5000, 'x')}},
    {"http-body", run_body, {"1" + chunks, "2ffffffffffffff\r\n", "3" + std::string(600, 'x')}},
  };
}

} // namespace reseq::fuzz

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>
#include <variant>

#include "actors/api/routes.hpp"
#include "reseq/net/detail/http_format.hpp"
#include "reseq/net/detail/http_parse.hpp"
#include "reseq/net/retry_after.hpp"
#include "reseq/net/url.hpp"
#include "reseq/wire/delivery.hpp"
#include "reseq/wire/incoming.hpp"
#include "targets.hpp"

namespace reseq::fuzz {
namespace {

using namespace std::chrono_literals;

void run_address(std::string_view input) {
  if (const auto at = net::parse_host_port(input)) {
    const auto again = net::parse_host_port(at->text());
    require(again && again->host == at->host && again->port == at->port, "an address reads back from its text");
  }
  const auto to = net::parse_url(input);
  if (!to) return;
  require(to->port > 0 && !to->host.empty() && to->target.starts_with('/'), "a URL has a host, a port and a target");
  const auto again = net::parse_url(to->scheme + "://" + to->authority() + to->target);
  require(again && again->origin() == to->origin() && again->target == to->target, "a URL reads back from its parts");
  const auto head = net::detail::parse_request_head(net::detail::format_request_head({}, *to));
  require(head.has_value(), "a request to any URL can be read");
  const auto& read = head->request;
  require(read.path + (to->target.find('?') == std::string::npos ? "" : "?" + read.query) == to->target,
          "a request to any URL asks for its target");
}

void run_retry_after(std::string_view input) {
  const wall_time now{1'795'600'000s};
  const auto wait = net::read_retry_after(input, now);
  require(!wait || (*wait >= 0s && *wait <= net::longest_retry_after), "a wait is not negative, and bounded");
  std::uint32_t seconds = 0;
  for (const char c : input.substr(0, 4)) seconds = seconds << 8U | static_cast<unsigned char>(c);
  seconds %= 31'536'000;
  const auto later = std::chrono::time_point_cast<std::chrono::seconds>(now) + std::chrono::seconds{seconds + 1};
  require(net::read_retry_after(net::detail::format_date(later), now) == later - now,
          "a date is read as it is written");
  require(net::read_retry_after(std::to_string(seconds), now) == std::chrono::seconds{seconds}, "seconds are seconds");
}

/// "Name: value" lines, and a body after an empty one.
std::pair<header_list, std::string> headers_and_body(std::string_view input) {
  header_list headers;
  while (!input.empty()) {
    const auto line = input.substr(0, input.find('\n'));
    input.remove_prefix(std::min(line.size() + 1, input.size()));
    if (line.empty()) break;
    const auto colon = std::min(line.find(": "), line.size());
    headers.push_back({std::string(line.substr(0, colon)), std::string(line.substr(std::min(colon + 2, line.size())))});
  }
  return {headers, std::string(input)};
}

/// What is sent on must be one request, whatever headers a producer or a transform made.
void run_headers(std::string_view input) {
  auto [headers, body] = headers_and_body(input);
  const auto message = wire::from_http(headers, body);
  if (message) {
    require(!message->id.empty() && message->id.size() <= wire::max_id_bytes, "a message has an id");
    require(message->body.payload == body, "a payload is kept byte for byte");
    require(!message->destinations || !message->destinations->empty(), "destinations are named or not");
  }
  const auto content =
    std::make_shared<reseq::content>(reseq::content{body, headers.empty() ? "" : headers[0].value, headers});
  wire::delivery sent{"p",      "d", sequence{7}, sequence{6}, position{9}, "id", message ? message->key : "k",
                      epoch{1}, 1,   content};
  net::client_request request;
  request.headers = wire::delivery_headers(sent);
  request.content_type = content->content_type;
  request.body = {content, &content->payload};
  const auto text = net::detail::format_request_head(request, {"http", "h", 80, "/in"});
  if (text.size() > net::detail::max_head_bytes || request.headers.size() + 5 > net::detail::max_head_fields) return;
  net::detail::head_scanner scanner;
  const auto size = scanner.scan(text);
  require(size && *size == text.size(), "a delivery's head ends where it should");
  const auto read = net::detail::parse_request_head(text);
  require(read.has_value(), "a delivery can be read");
  require(read->body.length == body.size(), "a delivery has the length of its body");
  require(find_header(read->request.headers, "Reseq-Sequence") == "7", "a delivery has its own sequence");
  require(find_header(read->request.headers, "Idempotency-Key") == "p/d/7", "a delivery has its own id");
}

void run_route(std::string_view input) {
  const auto space = std::min(input.find(' '), input.size());
  const auto found = actors::api::match(input.substr(0, space), input.substr(std::min(space + 1, input.size())));
  if (const auto* known = std::get_if<actors::api::route>(&found)) {
    require((known->pipeline + known->destination).find('/') == std::string::npos, "a name is one part of a path");
  } else if (const auto* wrong = std::get_if<actors::api::wrong_method>(&found)) {
    require(!wrong->allow.empty(), "another method would do");
  } else {
    require(std::get<wire::problem>(found).status == 404, "what is not there is 404");
  }
}

} // namespace

std::vector<target> edge_targets() {
  return {
    {"address",
     run_address,
     {"127.0.0.1:8080", "[::1]:0", "http://h/a?b", "https://[fe80::1]:8443?q", "http://u:p@h/", "localhost:65536"}},
    {"retry-after",
     run_retry_after,
     {"120", "Sat, 21 Nov 2026 12:00:30 GMT", "Saturday, 21-Nov-26 12:00:30 GMT", "Sat Nov 21 12:00:30 2026",
      "Fri, 31 Dec 9999 23:59:59 GMT", "99999999999999999999999", "-1"}},
    {"headers",
     run_headers,
     {"Idempotency-Key: \"a\"\nReseq-Key: k%\xc3\xa9\nReseq-Destinations: a, b\nce-source: /s\n\nbody",
      "Content-Type: text/plain\nce-id: 1\nce-source: s\nX-A: b\nContent-Length: 3\nReseq-Sequence: 1\n\n{}"}},
    {"route",
     run_route,
     {"GET /livez", "POST /v1/pipelines/p/messages/0:17/retry", "POST /v1/pipelines/p/destinations/d/pause",
      "GET /v1/pipelines/held/held", "DELETE /v1/pipelines/p/dead-letters"}},
  };
}

} // namespace reseq::fuzz

#include "reseq/net/detail/http_parse.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "reseq/model/ascii.hpp"
namespace reseq::net::detail {
namespace {

constexpr std::array<bool, 256> make_table(std::string_view extra) {
  std::array<bool, 256> table{};
  for (auto c = '0'; c <= '9'; ++c) table[static_cast<unsigned char>(c)] = true;
  for (auto c = 'a'; c <= 'z'; ++c) table[static_cast<unsigned char>(c)] = true;
  for (auto c = 'A'; c <= 'Z'; ++c) table[static_cast<unsigned char>(c)] = true;
  for (const auto c : extra) table[static_cast<unsigned char>(c)] = true;
  return table;
}

constexpr auto token_characters = make_table("!#$%&'*+-.^_`|~");
constexpr auto host_characters = make_table("!$%&'()*+,-.:;=[]_~");

bool all_in(std::string_view text, const std::array<bool, 256>& table) {
  return std::ranges::all_of(text, [&](char c) { return table[static_cast<unsigned char>(c)]; });
}

bool plain_text(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= 0x20 && byte != 0x7f) || c == '\t';
  });
}

bool plain_target(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f && c != '#'; });
}

tl::unexpected<protocol_error> refuse(unsigned status, std::string detail) {
  return tl::unexpected(protocol_error{status, std::move(detail)});
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// Takes the first line, without its CR LF, from the front of `head`.
std::string_view take_line(std::string_view& head) {
  const auto end = head.find("\r\n");
  const auto line = head.substr(0, end);
  head.remove_prefix(std::min(line.size() + 2, head.size()));
  return line;
}

template <class F>
void for_each_item(std::string_view list, F&& take) {
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    const auto item = trimmed(list.substr(0, comma));
    if (!item.empty()) take(item);
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
}

parsed<header_list> parse_fields(std::string_view lines) {
  header_list headers;
  headers.reserve(12);
  for (auto line = take_line(lines); !line.empty(); line = take_line(lines)) {
    if (line.front() == ' ' || line.front() == '\t') return refuse(400, "a header is folded over several lines");
    const auto colon = line.find(':');
    const auto name = line.substr(0, colon);
    if (colon == std::string_view::npos) return refuse(400, "a header line has no colon");
    if (!is_token(name)) return refuse(400, "a header name is empty or holds a character that is not allowed");
    const auto value = trimmed(line.substr(colon + 1));
    if (!plain_text(value)) return refuse(400, "header " + std::string(name) + " holds a control character");
    if (headers.size() == max_head_fields) {
      return refuse(431, "more than " + std::to_string(max_head_fields) + " headers");
    }
    headers.push_back({std::string(name), std::string(value)});
  }
  return headers;
}

/// What the headers say about framing and the connection.
struct facts {
  std::size_t hosts = 0;
  std::optional<std::uint64_t> length;
  std::size_t lengths = 0;
  bool chunked = false;
  bool close = false;
  bool keep_alive = false;
  bool expects_continue = false;
};

std::optional<protocol_error> read_length(std::string_view value, facts& seen) {
  std::uint64_t length = 0;
  const auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), length);
  if (value.empty() || failed != std::errc{} || end != value.data() + value.size()) {
    return protocol_error{400, "header Content-Length is not a number of bytes"};
  }
  if (seen.length && *seen.length != length) return protocol_error{400, "two Content-Length headers differ"};
  ++seen.lengths;
  seen.length = length;
  return std::nullopt;
}

std::optional<protocol_error> read_fact(const header& field, facts& seen) {
  const std::string_view value = field.value;
  if (ascii::equal_ignoring_case(field.name, "host")) {
    ++seen.hosts;
    if (!all_in(value, host_characters)) return protocol_error{400, "header Host is not a host and port"};
  } else if (ascii::equal_ignoring_case(field.name, "content-length")) {
    return read_length(value, seen);
  } else if (ascii::equal_ignoring_case(field.name, "transfer-encoding")) {
    if (seen.chunked || !ascii::equal_ignoring_case(value, "chunked")) {
      return protocol_error{501, "the only Transfer-Encoding supported is chunked, once"};
    }
    seen.chunked = true;
  } else if (ascii::equal_ignoring_case(field.name, "connection")) {
    for_each_item(value, [&](std::string_view option) {
      seen.close = seen.close || ascii::equal_ignoring_case(option, "close");
      seen.keep_alive = seen.keep_alive || ascii::equal_ignoring_case(option, "keep-alive");
    });
  } else if (ascii::equal_ignoring_case(field.name, "expect")) {
    if (!ascii::equal_ignoring_case(value, "100-continue"))
      return protocol_error{417, "the only Expect supported is 100-continue"};
    seen.expects_continue = true;
  }
  return std::nullopt;
}

parsed<facts> read_facts(const header_list& headers, bool http_1_0) {
  facts seen;
  for (const auto& field : headers) {
    if (auto wrong = read_fact(field, seen)) return tl::unexpected(std::move(*wrong));
  }
  if (seen.chunked && seen.length) return refuse(400, "both Transfer-Encoding and Content-Length are given");
  if (seen.chunked && http_1_0) return refuse(400, "Transfer-Encoding does not exist in HTTP/1.0");
  if (http_1_0) seen.expects_continue = false;
  return seen;
}

/// Reads "HTTP/1.1" or "HTTP/1.0": true for the latter.
parsed<bool> parse_version(std::string_view text) {
  const auto digit = [&](std::size_t at) { return text[at] >= '0' && text[at] <= '9'; };
  if (text.size() != 8 || !text.starts_with("HTTP/") || text[6] != '.' || !digit(5) || !digit(7)) {
    return refuse(400, "the start line does not end in HTTP/1.1");
  }
  if (text[5] != '1') return refuse(505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
  return text[7] == '0';
}

/// The path of "http://host/path?query" in absolute-form; origin-form as it is.
std::string_view origin_form(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (target.size() < scheme.size() || !ascii::equal_ignoring_case(target.substr(0, scheme.size()), scheme)) continue;
    target.remove_prefix(scheme.size());
    target.remove_prefix(std::min(target.find_first_of("/?"), target.size()));
    break;
  }
  return target;
}

std::optional<protocol_error> read_target(std::string_view target, http_request& request) {
  if (target.empty() || !plain_target(target)) {
    return protocol_error{400, "the request target holds a character that is not allowed"};
  }
  const auto absolute = target.front() != '/' && target != "*";
  const auto local = absolute ? origin_form(target) : target;
  if (absolute && local.data() == target.data()) return protocol_error{400, "the request target starts with no slash"};
  if (local == "*" && request.method != "OPTIONS") return protocol_error{400, "only OPTIONS can be asked of *"};
  const auto question = std::min(local.find('?'), local.size());
  request.path = question == 0 ? "/" : std::string(local.substr(0, question));
  request.query = std::string(local.substr(std::min(question + 1, local.size())));
  return std::nullopt;
}

/// Reads "METHOD target HTTP/1.x": whether it is 1.0.
parsed<bool> read_request_line(std::string_view line, http_request& request) {
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) {
    return refuse(400, "the request line is not METHOD target HTTP/1.1");
  }
  const auto http_1_0 = parse_version(line.substr(last + 1));
  if (!http_1_0) return tl::unexpected(http_1_0.error());
  const auto method = line.substr(0, first);
  if (!is_token(method)) return refuse(400, "the method holds a character that is not allowed");
  constexpr std::array<std::string_view, 7> known = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
  if (std::ranges::find(known, method) == known.end()) {
    return refuse(501, "method " + std::string(method.substr(0, 32)) + " is not supported");
  }
  request.method = std::string(method);
  if (auto wrong = read_target(line.substr(first + 1, last - first - 1), request)) {
    return tl::unexpected(std::move(*wrong));
  }
  return *http_1_0;
}

bool has_no_body(unsigned status, std::string_view method) {
  return method == "HEAD" || status < 200 || status == 204 || status == 304;
}

} // namespace

bool is_token(std::string_view text) { return !text.empty() && all_in(text, token_characters); }

parsed<std::size_t> head_scanner::scan(std::string_view data) {
  while (true) {
    const auto feed = data.find('\n', scanned_);
    const auto end = feed == std::string_view::npos ? data.size() : feed + 1;
    if (line_ == 0 && end > max_start_line_bytes) return refuse(414, "the start line is longer than 8 KiB");
    if (end > max_head_bytes) return refuse(431, "the header section is longer than 32 KiB");
    scanned_ = end;
    if (feed == std::string_view::npos) return std::size_t{0};
    if (feed == line_ || data[feed - 1] != '\r') return refuse(400, "a line ends in LF without CR");
    if (feed == line_ + 1) return end;
    line_ = end;
  }
}

parsed<request_head> parse_request_head(std::string_view head) {
  request_head read;
  const auto http_1_0 = read_request_line(take_line(head), read.request);
  if (!http_1_0) return tl::unexpected(http_1_0.error());
  auto headers = parse_fields(head);
  if (!headers) return tl::unexpected(std::move(headers.error()));
  const auto seen = read_facts(*headers, *http_1_0);
  if (!seen) return tl::unexpected(seen.error());
  if (seen->hosts > 1) return refuse(400, "more than one Host header");
  if (seen->hosts == 0 && !*http_1_0) return refuse(400, "header Host is missing");
  // Whoever stands before may have read the same number otherwise. In an answer it could do no harm.
  if (seen->lengths > 1) return refuse(400, "more than one Content-Length header");
  const auto& method = read.request.method;
  if (*http_1_0 && !seen->length && (method == "POST" || method == "PUT" || method == "PATCH")) {
    return refuse(411, "header Content-Length is missing");
  }
  read.request.headers = std::move(*headers);
  read.http_1_0 = *http_1_0;
  read.keep_alive = *http_1_0 ? seen->keep_alive && !seen->close : !seen->close;
  read.expects_continue = seen->expects_continue;
  if (seen->chunked) read.body.by = body_framing::kind::chunked;
  if (seen->length.value_or(0) > 0) read.body = {body_framing::kind::length, *seen->length};
  return read;
}

parsed<response_head> parse_response_head(std::string_view head, std::string_view request_method) {
  const auto line = take_line(head);
  const auto http_1_0 = parse_version(line.substr(0, 8));
  if (!http_1_0) return refuse(400, "the answer does not start with HTTP/1.1");
  response_head read;
  const auto code = line.substr(std::min<std::size_t>(8, line.size()));
  if (code.size() < 4 || code[0] != ' ' || (code.size() > 4 && code[4] != ' ') ||
      std::from_chars(code.data() + 1, code.data() + 4, read.status).ptr != code.data() + 4 || read.status < 100) {
    return refuse(400, "the answer's status is not a number of three digits");
  }
  auto headers = parse_fields(head);
  if (!headers) return tl::unexpected(std::move(headers.error()));
  const auto seen = read_facts(*headers, *http_1_0);
  if (!seen) return tl::unexpected(seen.error());
  read.headers = std::move(*headers);
  read.keep_alive = *http_1_0 ? seen->keep_alive && !seen->close : !seen->close;
  if (has_no_body(read.status, request_method)) return read;
  if (seen->chunked) {
    read.body.by = body_framing::kind::chunked;
  } else if (!seen->length) {
    read.body.by = body_framing::kind::until_close;
    read.keep_alive = false;
  } else if (*seen->length > 0) {
    read.body = {body_framing::kind::length, *seen->length};
  }
  return read;
}

} // namespace reseq::net::detail

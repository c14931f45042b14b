#include "reseq/net/detail/http_format.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "reseq/model/ascii.hpp"
#include "reseq/net/detail/http_parse.hpp"

namespace reseq::net {

std::string_view reason_phrase(unsigned status) {
  switch (status) {
  case 200: return "OK";
  case 201: return "Created";
  case 202: return "Accepted";
  case 204: return "No Content";
  case 304: return "Not Modified";
  case 307: return "Temporary Redirect";
  case 400: return "Bad Request";
  case 401: return "Unauthorized";
  case 403: return "Forbidden";
  case 404: return "Not Found";
  case 405: return "Method Not Allowed";
  case 406: return "Not Acceptable";
  case 408: return "Request Timeout";
  case 409: return "Conflict";
  case 410: return "Gone";
  case 411: return "Length Required";
  case 412: return "Precondition Failed";
  case 413: return "Content Too Large";
  case 414: return "URI Too Long";
  case 415: return "Unsupported Media Type";
  case 417: return "Expectation Failed";
  case 422: return "Unprocessable Content";
  case 429: return "Too Many Requests";
  case 431: return "Request Header Fields Too Large";
  case 500: return "Internal Server Error";
  case 501: return "Not Implemented";
  case 502: return "Bad Gateway";
  case 503: return "Service Unavailable";
  case 504: return "Gateway Timeout";
  case 505: return "HTTP Version Not Supported";
  case 507: return "Insufficient Storage";
  default: return "Status";
  }
}

namespace detail {
namespace {

void add(std::string& head, std::string_view name, std::string_view value) {
  head.append(name).append(": ");
  const auto from = head.size();
  head.append(value);
  std::ranges::replace_if(
    head.begin() + static_cast<std::ptrdiff_t>(from), head.end(),
    [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; }, ' ');
  head.append("\r\n");
}

/// Headers that say how this message is framed or what this connection does: never taken from callers.
bool of_the_connection(std::string_view name) {
  constexpr std::array<std::string_view, 11> ours = {
    "content-length", "transfer-encoding", "connection", "keep-alive", "host", "expect", "upgrade", "te",
    "trailer",        "proxy-connection",  "date"};
  return std::ranges::any_of(ours, [&](std::string_view own) { return ascii::equal_ignoring_case(name, own); });
}

void add_all(std::string& head, const header_list& headers, const std::string& content_type) {
  for (const auto& [name, value] : headers) {
    if (!is_token(name) || of_the_connection(name)) continue;
    if (!content_type.empty() && ascii::equal_ignoring_case(name, "content-type")) continue;
    add(head, name, value);
  }
  if (!content_type.empty()) add(head, "Content-Type", content_type);
}

void append_escaped(std::string& json, std::string_view text) {
  for (const auto c : text) {
    if (c == '"' || c == '\\') json.push_back('\\');
    json.push_back(static_cast<unsigned char>(c) < 0x20 ? ' ' : c);
  }
}

} // namespace

bool may_have_body(unsigned status) { return status >= 200 && status != 204 && status != 304; }

std::string format_response_head(const http_response& answer, std::string_view connection, std::string_view date) {
  std::string head;
  head.reserve(256);
  head.append("HTTP/1.1 ").append(std::to_string(answer.status)).append(" ");
  head.append(reason_phrase(answer.status)).append("\r\n");
  add(head, "Date", date);
  add_all(head, answer.headers, answer.content_type);
  if (may_have_body(answer.status)) add(head, "Content-Length", std::to_string(answer.body.size()));
  if (!connection.empty()) add(head, "Connection", connection);
  return head.append("\r\n");
}

std::string format_request_head(const client_request& request, const url& to) {
  std::string head;
  head.reserve(512);
  head.append(request.method).append(" ").append(request.target.empty() ? to.target : request.target);
  head.append(" HTTP/1.1\r\n");
  add(head, "Host", to.authority());
  if (find_header(request.headers, "User-Agent").empty()) add(head, "User-Agent", "reseq");
  add_all(head, request.headers, request.content_type);
  const auto size = request.body ? request.body->size() : 0;
  if (size > 0 || (request.method != "GET" && request.method != "HEAD")) {
    add(head, "Content-Length", std::to_string(size));
  }
  return head.append("\r\n");
}

std::string format_date(std::chrono::sys_seconds when) {
  // Not strftime: its names of days and months follow the process's locale.
  constexpr std::array<const char*, 7> days = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<const char*, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto midnight = std::chrono::floor<std::chrono::days>(when);
  const std::chrono::year_month_day day{midnight};
  const std::chrono::hh_mm_ss time{when - midnight};
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%s, %02u %s %04d %02d:%02d:%02d GMT",
                days.at(std::chrono::weekday{midnight}.c_encoding()), static_cast<unsigned>(day.day()),
                months.at(static_cast<unsigned>(day.month()) - 1), static_cast<int>(day.year()),
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()));
  return text.data();
}

http_response problem_answer(unsigned status, std::string_view detail) {
  http_response answer;
  answer.status = status;
  answer.content_type = "application/problem+json";
  answer.body = R"({"status":)" + std::to_string(status) + R"(,"title":")";
  answer.body.append(reason_phrase(status)).append(R"(","detail":")");
  append_escaped(answer.body, detail);
  answer.body.append("\"}");
  return answer;
}

} // namespace detail
} // namespace reseq::net

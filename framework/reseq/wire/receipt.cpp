#include "reseq/wire/receipt.hpp"

#include <utility>

#include "reseq/wire/json.hpp"

namespace reseq::wire {
namespace {

std::string_view title_of(unsigned status) {
  switch (status) {
  case 400: return "Bad Request";
  case 401: return "Unauthorized";
  case 403: return "Forbidden";
  case 404: return "Not Found";
  case 405: return "Method Not Allowed";
  case 408: return "Request Timeout";
  case 409: return "Conflict";
  case 410: return "Gone";
  case 413: return "Content Too Large";
  case 415: return "Unsupported Media Type";
  case 422: return "Unprocessable Content";
  case 429: return "Too Many Requests";
  case 431: return "Request Header Fields Too Large";
  case 500: return "Internal Server Error";
  case 501: return "Not Implemented";
  case 503: return "Service Unavailable";
  case 507: return "Insufficient Storage";
  default: return status < 500 ? "Client Error" : "Server Error";
  }
}

unsigned status_of(errc code) {
  switch (code) {
  case errc::invalid: return 400;
  case errc::not_found: return 404;
  case errc::too_large: return 413;
  case errc::unprocessable:
  case errc::conflict: return 422;
  case errc::full: return 429;
  case errc::unavailable:
  case errc::fenced:
  case errc::diverged:
  case errc::corrupt: // an operator may put back what was there
  case errc::in_doubt: return 503;
  case errc::no_space: return 507;
  case errc::incompatible:
  case errc::internal: break;
  }
  return 500;
}

} // namespace

problem make_problem(unsigned status, std::string detail, std::string field) {
  problem made{status, std::string{title_of(status)}, std::move(detail), std::move(field), {}};
  if (status == 429 || status == 503) made.retry_after_s = 1;
  return made;
}

problem problem_of(const error& e) { return make_problem(status_of(e.code), e.text(), e.where); }

std::string to_json(const receipt& r) {
  std::string out;
  append_json(out, r);
  return out;
}

void append_json(std::string& out, const receipt& r) {
  out += R"({"id":)";
  json::append_string(out, r.id);
  out += R"(,"duplicate":)";
  out += r.duplicate ? "true" : "false";
  out += R"(,"positions":[)";
  if (r.at != position{}) out += R"({"shard":0,"position":)" + std::to_string(r.at.value()) + '}';
  out += "]}";
}

std::string to_json(const problem& p) {
  std::string out = R"({"type":"about:blank","title":)";
  json::append_string(out, p.title);
  out += R"(,"status":)" + std::to_string(p.status) + R"(,"detail":)";
  json::append_string(out, p.detail);
  if (!p.field.empty()) {
    out += R"(,"field":)";
    json::append_string(out, p.field);
  }
  if (p.retry_after_s) out += R"(,"retry_after":)" + std::to_string(*p.retry_after_s);
  out += '}';
  return out;
}

} // namespace reseq::wire

#include "ctl/api.hpp"

#include <utility>

#include <nlohmann/json.hpp>

#include "ctl/fields.hpp"
#include "reseq/net/http.hpp"
#include "reseq/net/http_blocking.hpp"

namespace reseq::ctl {
namespace {

using nlohmann::json;

/// What was refused, in the supervisor's words if it has any.
std::string refusal_text(const net::client_answer& answer) {
  const auto status = std::to_string(answer.status) + " " + std::string{net::reason_phrase(answer.status)};
  const auto problem = json::parse(answer.body, nullptr, false);
  const auto detail = text_in(problem, "detail");
  return detail.empty() ? "the server answered " + status : detail + " (" + status + ")";
}

/// What was asked for contradicts what is there.
const char* advice_after_conflict(const std::string& path, const std::string& refusal) {
  if (path.ends_with("/recover")) return "`reseqctl status` shows what state it is in";
  if (refusal.find("has diverged") != std::string::npos) return "`reseqctl why` says how it can go on";
  return "`reseqctl held` lists what is held";
}

const char* advice_after_unprocessable(const std::string& path) {
  if (path.ends_with("/retry") || path.ends_with("/skip"))
    return "`reseqctl status` lists the destinations that there are";
  return "an id stands for one content only, and `reseqctl status` lists the destinations that there are";
}

const char* advice_after(unsigned status, const std::string& path, const std::string& refusal) {
  switch (status) {
  case 400: return "correct that and call again";
  case 401:
    return "give the token with --token, or in RESEQ_HTTP_TOKEN for send and RESEQ_HTTP_CONTROL_TOKEN for the rest";
  case 404: return "`reseqctl status` shows the pipelines, their destinations, and how far they are";
  case 409: return advice_after_conflict(path, refusal);
  case 413: return "http.max_message, or http.max_carried of headers, in the supervisor's configuration is the limit";
  case 422: return advice_after_unprocessable(path);
  case 429: return "`reseqctl why` says what the destination waits for";
  case 503: return "try again in a moment; if that lasts, `reseqctl why` says what it waits for";
  case 507: return "make room on the supervisor's disk";
  default: return status >= 500 ? "see the supervisor's log" : "check --url: does a reseq-supervisor listen there?";
  }
}

errc errc_of(unsigned status) {
  if (status == 503) return errc::unavailable;
  return status == 409 ? errc::conflict : errc::invalid;
}

} // namespace

exchange http_exchange(net::url base, std::string token) {
  return [base = std::move(base), token = std::move(token)](const api_request& what) {
    auto to = base;
    to.target += what.path;
    auto headers = what.headers;
    if (!token.empty()) headers.push_back({"Authorization", "Bearer " + token});
    return net::request(what.method, to, std::move(headers), what.body, what.timeout);
  };
}

result<std::string> body_of(result<net::client_answer> answered, const api_request& asked) {
  if (!answered) {
    auto what = std::move(answered.error());
    what.what += "; check that reseq-supervisor runs and listens there (--url or RESEQ_URL names another address)";
    return tl::unexpected(std::move(what));
  }
  const auto status = answered->status;
  if (status < 200 || status > 299) {
    const auto refusal = refusal_text(*answered);
    return fail(errc_of(status), refusal + "; " + advice_after(status, asked.path, refusal));
  }
  if (answered->truncated) return fail(errc::too_large, "the answer is too large to be shown; ask for less");
  return std::move(answered->body);
}

result<std::string> call(const exchange& supervisor, const api_request& what) {
  return body_of(supervisor(what), what);
}

result<json> call_json(const exchange& supervisor, const api_request& what) {
  const auto body = call(supervisor, what);
  if (!body) return tl::unexpected(body.error());
  return read_object(*body);
}

result<json> read_object(const std::string& body) {
  auto parsed = json::parse(body, nullptr, false);
  if (!parsed.is_object())
    return fail(errc::incompatible,
                "the answer is not a reseq-supervisor's; check --url, and that both programs are of one version");
  return parsed;
}

} // namespace reseq::ctl

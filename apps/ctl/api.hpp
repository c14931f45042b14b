/// A supervisor's HTTP API, one request at a time, its refusals as sentences.
#pragma once

#include <functional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/net/http_client.hpp"
#include "reseq/net/url.hpp"

namespace reseq::ctl {

struct api_request {
  std::string method;
  std::string path; ///< from "/v1" on
  header_list headers{};
  std::string body{};
  duration timeout = std::chrono::seconds{10};
};

/// Sends one request and waits. An error is a failure to get any answer.
using exchange = std::function<result<net::client_answer>(const api_request&)>;

/// The real one: requests below `base`, with `token` as bearer unless it is empty.
exchange http_exchange(net::url base, std::string token);

/// The body of a good answer (200 to 299) to `asked`. A refusal is one sentence: what the supervisor said and what to
/// do next; `unavailable` for 503, `conflict` for 409, else `invalid`. What got no answer says where it was looked for.
result<std::string> body_of(result<net::client_answer> answered, const api_request& asked);

result<std::string> call(const exchange& supervisor, const api_request& what);

/// `call`, and the body read. `errc::incompatible` if it is no JSON object.
result<nlohmann::json> call_json(const exchange& supervisor, const api_request& what);

/// `errc::incompatible` if `body` is no JSON object.
result<nlohmann::json> read_object(const std::string& body);

} // namespace reseq::ctl

/// Heads of HTTP/1.1 messages as text. Pure.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "reseq/net/http.hpp"
#include "reseq/net/http_client.hpp"
#include "reseq/net/url.hpp"

namespace reseq::net::detail {

/// The head of an answer whose body has `answer.body.size()` bytes, with the empty line that ends it.
/// `connection`: the value of the Connection header, or empty for none. `date`: of the Date header.
std::string format_response_head(const http_response& answer, std::string_view connection, std::string_view date);

/// The head of a request to `to`, with the empty line that ends it.
std::string format_request_head(const client_request& request, const url& to);

/// Whether an answer with this status has a body to be sent, and a length.
bool may_have_body(unsigned status);

/// `when` as in "Sun, 06 Nov 1994 08:49:37 GMT".
std::string format_date(std::chrono::sys_seconds when);

/// An answer in application/problem+json. `detail` is trusted to hold nothing that JSON must escape but quotes,
/// backslashes and control characters.
http_response problem_answer(unsigned status, std::string_view detail);

} // namespace reseq::net::detail

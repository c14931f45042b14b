/// One HTTP request, waited for: for command-line tools.
#pragma once

#include "reseq/net/http_client.hpp"

namespace reseq::net {

/// Sends one request on a connection and a thread of its own and waits for the answer, at most `timeout`.
/// Errors as in `http_client`. `limits` is wider than a client's default: tools show what they get.
result<client_answer> request(std::string method, const url& to, header_list headers, std::string body,
                              duration timeout, client_limits limits = {64U << 20U, 64U << 20U});

} // namespace reseq::net

/// Submitting one message, again and again while the supervisor is away.
#pragma once

#include <functional>
#include <istream>
#include <string>

#include "ctl/api.hpp"
#include "ctl/options.hpp"

namespace reseq::ctl {

/// Time as waiting needs it.
struct pace {
  std::function<time_point()> now;
  std::function<void(duration)> sleep;
};

/// The whole of `in`; `errc::too_large` beyond 1 GiB, the most that a supervisor can be configured to take.
result<std::string> read_payload(std::istream& in);

/// An id that no other message has.
std::string make_id();

/// The submission as one request. An id is made unless `what` has one, in its headers too, so that sending it again
/// cannot make two messages of it.
api_request submission(const options& what, std::string payload);

/// Sends `what` until it is answered by anything but 503, at most for `patience` after the first try, with growing
/// pauses of at least what `Retry-After` says. `notice` is called before the first pause, with what went wrong, and
/// that it is tried again. Returns the receipt's JSON; errors as of `body_of`.
result<std::string> submit(const exchange& supervisor, const api_request& what, duration patience, const pace& time,
                           const std::function<void(const std::string&)>& notice);

} // namespace reseq::ctl

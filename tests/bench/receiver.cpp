#include "receiver.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

#include "reseq/model/message.hpp"

namespace reseq::bench {
namespace {

std::uint64_t number_at(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

/// The rest of the line behind `mark`; empty when it is not there.
std::string_view behind(std::string_view line, std::string_view mark) {
  const auto at = line.find(mark);
  return at == std::string_view::npos ? std::string_view{} : line.substr(at + mark.size());
}

/// The envelopes' own fields come before the payload, and a benchmark's ids need no escapes.
void take_batch(std::string_view lines, time_point now, const receiver::handler& handle) {
  while (!lines.empty()) {
    const auto line = lines.substr(0, lines.find('\n'));
    const auto id = behind(line, R"("message_id":")");
    handle({number_at(behind(line, R"("sequence":)")), id.substr(0, id.find('"')), now});
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
  }
}

void take(const net::http_request& request, time_point now, const receiver::handler& handle) {
  const auto sequence = find_header(request.headers, "Reseq-Sequence");
  if (sequence.empty())
    take_batch(request.body, now, handle);
  else
    handle({number_at(sequence), find_header(request.headers, "Reseq-Message-Id"), now});
}

} // namespace

result<std::unique_ptr<receiver>> receiver::listen(net::loop& on, handler handle) {
  auto server = net::http_server::listen(
    on, {}, [handle = std::move(handle)](const net::http_request& request, const net::responder& answer) {
      const auto now = std::chrono::steady_clock::now();
      answer({});
      take(request, now, handle);
    });
  if (!server) return tl::unexpected(std::move(server.error()));
  return std::unique_ptr<receiver>(new receiver(std::move(*server)));
}

} // namespace reseq::bench

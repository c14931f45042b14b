#include "actors/api/routes.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

namespace reseq::actors::api {
namespace {

/// `{p}`, `{d}` and `{m}` stand for a pipeline, a destination and SHARD:POSITION.
struct entry {
  std::string_view method;
  std::string_view pattern;
  endpoint what;
};

constexpr std::array entries{
  entry{"GET", "/livez", endpoint::livez},
  entry{"GET", "/readyz", endpoint::readyz},
  entry{"GET", "/metrics", endpoint::metrics},
  entry{"GET", "/v1/pipelines", endpoint::pipelines},
  entry{"GET", "/v1/pipelines/{p}", endpoint::pipeline},
  entry{"POST", "/v1/pipelines/{p}/messages", endpoint::submit},
  entry{"GET", "/v1/pipelines/{p}/messages", endpoint::message_by_id},
  entry{"POST", "/v1/pipelines/{p}/messages/batch", endpoint::submit_batch},
  entry{"GET", "/v1/pipelines/{p}/messages/{m}", endpoint::message},
  entry{"POST", "/v1/pipelines/{p}/messages/{m}/retry", endpoint::retry_message},
  entry{"POST", "/v1/pipelines/{p}/messages/{m}/skip", endpoint::skip_message},
  entry{"GET", "/v1/pipelines/{p}/held", endpoint::held},
  entry{"POST", "/v1/pipelines/{p}/held/retry", endpoint::retry_held},
  entry{"GET", "/v1/pipelines/{p}/dead-letters", endpoint::dead_letters},
  entry{"POST", "/v1/pipelines/{p}/recover", endpoint::recover},
  entry{"GET", "/v1/pipelines/{p}/destinations/{d}", endpoint::destination},
  entry{"POST", "/v1/pipelines/{p}/destinations/{d}/pause", endpoint::pause},
  entry{"POST", "/v1/pipelines/{p}/destinations/{d}/resume", endpoint::resume},
};

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> parts;
  for (std::size_t from = 1; from <= path.size();) {
    const auto end = std::min(path.find('/', from), path.size());
    parts.push_back(path.substr(from, end - from));
    from = end + 1;
  }
  return parts;
}

template <class Number>
bool read(std::string_view text, Number& into) {
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), into);
  return failed == std::errc{} && end == text.data() + text.size();
}

/// "0:17".
bool read_place(std::string_view text, route& into) {
  const auto colon = text.find(':');
  std::uint64_t number = 0;
  if (colon == std::string_view::npos || !read(text.substr(0, colon), into.shard) ||
      !read(text.substr(colon + 1), number) || number == 0)
    return false;
  into.at = position{number};
  return true;
}

bool fill(route& made, std::string_view pattern, std::string_view part) {
  if (pattern == "{p}")
    made.pipeline = part;
  else if (pattern == "{d}")
    made.destination = part;
  else if (pattern == "{m}")
    return read_place(part, made);
  else
    return pattern == part;
  return !part.empty();
}

std::optional<route> try_entry(const entry& candidate, const std::vector<std::string_view>& parts) {
  const auto pattern = split(candidate.pattern);
  if (pattern.size() != parts.size()) return std::nullopt;
  route made;
  made.what = candidate.what;
  for (std::size_t i = 0; i < parts.size(); ++i)
    if (!fill(made, pattern[i], parts[i])) return std::nullopt;
  return made;
}

} // namespace

std::variant<route, wrong_method, wire::problem> match(std::string_view method, std::string_view path) {
  const auto parts = split(path);
  std::string allow;
  for (const auto& candidate : entries) {
    auto found = try_entry(candidate, parts);
    if (!found) continue;
    if (candidate.method == method || (method == "HEAD" && candidate.method == "GET")) return std::move(*found);
    allow += (allow.empty() ? "" : ", ") + std::string{candidate.method};
    if (candidate.method == "GET") allow += ", HEAD";
  }
  if (!allow.empty()) return wrong_method{allow};
  if (parts.size() > 4 && parts[1] == "pipelines" && parts[3] == "messages")
    return wire::make_problem(404,
                              "a message is at /v1/pipelines/PIPELINE/messages/SHARD:POSITION, as its receipt says, "
                              "or found by /v1/pipelines/PIPELINE/messages?id=ID");
  return wire::make_problem(404, "there is nothing at this path; messages go to /v1/pipelines/PIPELINE/messages");
}

bool is_public(endpoint what) { return what == endpoint::livez || what == endpoint::readyz || is_submission(what); }

bool is_submission(endpoint what) { return what == endpoint::submit || what == endpoint::submit_batch; }

} // namespace reseq::actors::api

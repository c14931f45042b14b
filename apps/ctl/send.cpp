#include "ctl/send.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <random>
#include <utility>

namespace reseq::ctl {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t largest_payload = std::size_t{1} << 30U;
constexpr auto first_pause = 250ms;
constexpr auto longest_pause = 2000ms;
constexpr auto longest_wish = 10s; ///< of `Retry-After`: we are bounded anyway

bool names_its_message(const header_list& headers) {
  return !find_header(headers, "idempotency-key").empty() ||
         (!find_header(headers, "ce-id").empty() && !find_header(headers, "ce-source").empty());
}

std::string joined(const std::vector<std::string>& names) {
  std::string made;
  for (const auto& one : names) made += (made.empty() ? "" : ",") + one;
  return made;
}

duration wished_pause(const result<net::client_answer>& answer) {
  if (!answer) return {};
  const auto text = find_header(answer->headers, "retry-after");
  unsigned seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return std::min<duration>(std::chrono::seconds{seconds}, longest_wish);
}

} // namespace

result<std::string> read_payload(std::istream& in) {
  std::string all;
  std::array<char, 65536> piece{};
  while (in.read(piece.data(), piece.size()), in.gcount() > 0) {
    all.append(piece.data(), static_cast<std::size_t>(in.gcount()));
    if (all.size() > largest_payload) return fail(errc::too_large, "the payload is larger than 1 GiB");
  }
  if (in.bad() || !in.eof()) return fail(errc::unavailable, "the payload cannot be read");
  return all;
}

std::string make_id() {
  std::random_device source;
  std::string id = "reseqctl-";
  for (int i = 0; i < 4; ++i) {
    char part[9];
    std::snprintf(part, sizeof part, "%08x", static_cast<unsigned>(source()));
    id += part;
  }
  return id;
}

api_request submission(const options& what, std::string payload) {
  const auto& out = what.submission;
  api_request made{"POST", "/v1/pipelines/" + what.pipeline + "/messages", out.headers, std::move(payload)};
  if (!out.id.empty())
    made.headers.push_back({"Idempotency-Key", out.id});
  else if (!names_its_message(out.headers))
    made.headers.push_back({"Idempotency-Key", make_id()});
  if (!out.key.empty()) made.headers.push_back({"Reseq-Key", out.key});
  if (!what.to.empty()) made.headers.push_back({"Reseq-Destinations", joined(what.to)});
  if (!out.content_type.empty()) made.headers.push_back({"Content-Type", out.content_type});
  return made;
}

result<std::string> submit(const exchange& supervisor, const api_request& what, duration patience, const pace& time,
                           const std::function<void(const std::string&)>& notice) {
  const auto end = time.now() + patience;
  bool noticed = false;
  for (duration pause = first_pause;; pause = std::min<duration>(pause * 2, longest_pause)) {
    auto answer = supervisor(what);
    const auto wait = std::max(pause, wished_pause(answer));
    auto body = body_of(std::move(answer), what);
    if (body || body.error().code != errc::unavailable || time.now() + wait > end) return body;
    if (!std::exchange(noticed, true)) notice(body.error().text() + "; trying again");
    time.sleep(wait);
  }
}

} // namespace reseq::ctl

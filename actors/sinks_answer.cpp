#include <algorithm>
#include <charconv>
#include <chrono>
#include <ctime>

#include "actors/sinks.hpp"

namespace reseq::actors {
namespace {

template <class Number>
std::optional<Number> read_number(std::string_view text) {
  Number value{};
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// `Retry-After`: seconds, or a date (RFC 9110 §10.2.3). A year stands for all that is longer: centuries, which a
/// receiver may well name, are more nanoseconds than a `duration` holds.
std::optional<duration> retry_after(const header_list& headers, wall_time now) {
  constexpr std::chrono::seconds longest = std::chrono::hours{24 * 365};
  const std::string text{find_header(headers, "retry-after")};
  if (const auto in = read_number<std::uint64_t>(text))
    return std::chrono::seconds{std::min<std::uint64_t>(*in, longest.count())};
  std::tm date{};
  const auto* end = strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
  if (!end || *end != '\0') return std::nullopt;
  const auto at = std::chrono::sys_seconds{std::chrono::seconds{timegm(&date)}};
  return at > now ? std::optional<duration>{std::min<wall_time::duration>(at - now, longest)} : std::nullopt;
}

std::string sentence(const net::client_answer& got) {
  auto text = "the receiver answered " + std::to_string(got.status);
  const auto body = std::string_view{got.body}.substr(0, 200);
  if (!body.empty()) text.append(": ").append(body);
  for (auto& c : text)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  return text;
}

} // namespace

core::receiver_answer read_answer(const result<net::client_answer>& got, epoch ours, wall_time now) {
  if (!got) return core::failing{got.error().text(), std::nullopt};
  const auto status = got->status;
  if (status >= 200 && status < 300) return core::confirmed{};
  if (status == 400 || status == 413 || status == 415 || status == 422) return core::refused{sentence(*got)};
  if (status == 412) {
    const auto seen = read_number<std::uint64_t>(find_header(got->headers, "reseq-epoch"));
    if (seen && *seen > ours.value()) return core::stale{epoch{*seen}};
  }
  return core::failing{sentence(*got), retry_after(got->headers, now)};
}

wire::delivery to_delivery(const sink_setup& setup, const core::send_item& item) {
  return {setup.pipeline,     setup.destination.name, item.seq,    item.previous, item.at,
          item.message->id(), item.message->key(),    setup.owner, item.attempt,  item.body};
}

} // namespace reseq::actors

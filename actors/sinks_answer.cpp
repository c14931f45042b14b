#include <algorithm>
#include <array>
#include <charconv>

#include "actors/sinks.hpp"
#include "reseq/net/retry_after.hpp"

namespace reseq::actors {
namespace {

template <class Number>
std::optional<Number> read_number(std::string_view text) {
  Number value{};
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string sentence(const net::client_answer& got) {
  constexpr std::size_t most = 200;
  auto text = "the receiver answered " + std::to_string(got.status);
  auto size = std::min(got.body.size(), most);
  const auto inside_a_character = [&] { return (static_cast<unsigned char>(got.body[size]) & 0xc0U) == 0x80; };
  while (size < got.body.size() && size > most - 4 && inside_a_character()) --size;
  while (size > 0 && static_cast<unsigned char>(got.body[size - 1]) <= 0x20) --size;
  if (size > 0) text.append(": ").append(got.body, 0, size);
  for (auto& c : text)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  return text;
}

} // namespace

core::receiver_answer read_answer(const result<net::client_answer>& got, epoch ours, wall_time now) {
  if (!got) return core::failing{got.error().text(), std::nullopt};
  const auto status = got->status;
  const auto said_yes = status >= 200 && status < 300;
  if (said_yes && got->early)
    return core::failing{"the receiver answered " + std::to_string(status) + " before it had the whole request",
                         std::nullopt};
  if (said_yes) return core::confirmed{};
  constexpr std::array refusals{400U, 413U, 415U, 422U, 431U}; // 431: the headers that it carries are too large
  if (std::ranges::find(refusals, status) != refusals.end()) return core::refused{sentence(*got)};
  if (status == 412) {
    const auto seen = read_number<std::uint64_t>(find_header(got->headers, "reseq-epoch"));
    if (seen && *seen > ours.value()) return core::stale{epoch{*seen}};
  }
  return core::failing{sentence(*got), net::read_retry_after(find_header(got->headers, "retry-after"), now)};
}

wire::delivery to_delivery(const sink_setup& setup, const core::send_item& item) {
  return {setup.pipeline,     setup.destination.name, item.seq,    item.previous, item.at,
          item.message->id(), item.message->key(),    setup.owner, item.attempt,  item.body};
}

} // namespace reseq::actors

#include "reseq/store/redis/result_text.hpp"

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include "reseq/store/codec.hpp"

namespace reseq::store::redis {
namespace {

constexpr std::string_view made_by = "made by ";

/// Takes a whole number off the front of `text`.
template <class Number>
std::optional<Number> take_number(std::string_view& text) {
  Number value{};
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// Takes a line and its end off the front.
std::optional<std::string_view> take_line(std::string_view& text) {
  const auto end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const auto line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return line;
}

std::optional<std::vector<destination_id>> decode_destinations(std::string_view text) {
  std::vector<destination_id> out;
  while (!text.empty()) {
    if (!take_prefix(text, " ")) return std::nullopt;
    const auto number = take_number<std::uint32_t>(text);
    if (!number) return std::nullopt;
    out.emplace_back(*number);
  }
  return out;
}

} // namespace

std::string encode_key(core::work_key key) {
  return std::to_string(key.at.value()) + "." + std::to_string(key.chain.value());
}

std::optional<core::work_key> decode_key(std::string_view text) {
  const auto at = take_number<std::uint64_t>(text);
  if (!at || !take_prefix(text, ".")) return std::nullopt;
  const auto chain = take_number<std::uint32_t>(text);
  if (!chain || !text.empty()) return std::nullopt;
  return core::work_key{position{*at}, core::chain_index{*chain}};
}

std::string encode_result(const core::stored_result& one, std::string_view origin) {
  std::string out = "message " + one.message_id + "\n";
  out.append(made_by).append(origin).append("\n");
  if (one.done.only_to) {
    out += "only";
    for (const auto id : *one.done.only_to) out += " " + std::to_string(id.value());
    out += "\n";
  }
  if (!one.done.body) return out + "dropped\n\n";
  const auto& body = *one.done.body;
  out.reserve(out.size() + size_bytes(body) + 64);
  if (!body.content_type.empty()) out += "type " + encode_headers({{"", body.content_type}}).substr(2);
  for (const auto& header : body.headers) out += "header " + encode_headers({header});
  return out.append("\n").append(body.payload);
}

std::optional<core::stored_result> decode_result(core::work_key key, std::string_view text, std::string_view origin) {
  core::stored_result one{key, {}, {}};
  auto body = std::make_shared<content>();
  bool dropped = false;
  auto line = take_line(text);
  if (!line || !take_prefix(*line, "message ") || line->empty()) return std::nullopt;
  one.message_id = std::string(*line);
  line = take_line(text);
  if (!line || !take_prefix(*line, made_by) || *line != origin) return std::nullopt;
  for (line = take_line(text); line && !line->empty(); line = take_line(text)) {
    if (*line == "dropped") {
      dropped = true;
    } else if (take_prefix(*line, "only")) {
      one.done.only_to = decode_destinations(*line);
      if (!one.done.only_to) return std::nullopt;
    } else if (take_prefix(*line, "type ")) {
      const auto typed = decode_headers(": " + std::string(*line) + "\n");
      if (typed.size() != 1) return std::nullopt;
      body->content_type = typed.front().value;
    } else if (take_prefix(*line, "header ")) {
      auto headers = decode_headers(std::string(*line) + "\n");
      if (headers.size() != 1) return std::nullopt;
      body->headers.push_back(std::move(headers.front()));
    } else {
      return std::nullopt;
    }
  }
  if (!line || (dropped && !text.empty())) return std::nullopt;
  if (dropped) return one;
  body->payload = std::string(text);
  one.done.body = std::move(body);
  return one;
}

} // namespace reseq::store::redis

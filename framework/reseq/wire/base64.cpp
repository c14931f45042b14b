#include "reseq/wire/base64.hpp"

#include <array>
#include <cstdint>

namespace reseq::wire {
namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t no_digit = 0xff;

constexpr std::array<std::uint8_t, 256> digit_of = [] {
  std::array<std::uint8_t, 256> table{};
  table.fill(no_digit);
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    table[static_cast<std::uint8_t>(alphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return table;
}();

std::uint32_t byte_at(std::string_view bytes, std::size_t at) {
  return at < bytes.size() ? static_cast<std::uint8_t>(bytes[at]) : 0;
}

tl::unexpected<error> not_base64() {
  return fail(errc::invalid, "is not base64 (standard alphabet, padded with '=', no white space)");
}

} // namespace

void append_base64(std::string& out, std::string_view bytes) {
  out.reserve(out.size() + (bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const auto triple = byte_at(bytes, at) << 16U | byte_at(bytes, at + 1) << 8U | byte_at(bytes, at + 2);
    out += alphabet[triple >> 18U & 63U];
    out += alphabet[triple >> 12U & 63U];
    out += at + 1 < bytes.size() ? alphabet[triple >> 6U & 63U] : '=';
    out += at + 2 < bytes.size() ? alphabet[triple & 63U] : '=';
  }
}

result<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return not_base64();
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  const auto digits = text.substr(0, text.size() - padding);
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (const char c : digits) {
    const auto digit = digit_of[static_cast<std::uint8_t>(c)];
    if (digit == no_digit) return not_base64();
    bits = (bits << 6U | digit) & 0xfffU;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    bytes += static_cast<char>(bits >> held & 0xffU);
  }
  if ((bits & ((1U << held) - 1)) != 0) return not_base64();
  return bytes;
}

} // namespace reseq::wire

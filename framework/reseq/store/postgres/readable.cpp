#include "reseq/store/postgres/readable.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace reseq::store::postgres {

namespace {

constexpr std::string_view digits = "0123456789abcdef";

/// Of the valid UTF-8 sequence at the front of `text`, in bytes; 0 if there is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return first == 0 ? 0 : 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0U) != 0x80) return 0;
  // Longer than need be, a surrogate, or beyond the last code point.
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) || (first == 0xf0 && byte(1) < 0x90) ||
      (first == 0xf4 && byte(1) > 0x8f))
    return 0;
  return length;
}

constexpr std::array<unsigned char, 256> value_of = [] {
  std::array<unsigned char, 256> values{};
  for (unsigned i = 0; i < 10; ++i) values['0' + i] = static_cast<unsigned char>(i);
  for (unsigned i = 0; i < 6; ++i) values['a' + i] = values['A' + i] = static_cast<unsigned char>(10 + i);
  return values;
}();

char byte_of(char high, char low) {
  return static_cast<char>(value_of[static_cast<unsigned char>(high)] << 4U |
                           value_of[static_cast<unsigned char>(low)]);
}

} // namespace

bool is_plain(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c > 0 && c != '\\'; });
}

std::string to_readable(std::string_view bytes) {
  if (is_plain(bytes)) return std::string(bytes);
  std::string out;
  while (!bytes.empty()) {
    const std::size_t length = utf8_length(bytes);
    if (length == 0) {
      const auto value = static_cast<unsigned char>(bytes.front());
      out += {'\\', 'x', digits[value >> 4U], digits[value & 0xfU]};
    } else {
      if (bytes.front() == '\\') out += '\\';
      out += bytes.substr(0, length);
    }
    bytes.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

std::string from_readable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escaped = text[i] == '\\' && i + 1 < text.size();
    if (escaped) ++i;
    if (escaped && text[i] == 'x' && i + 2 < text.size()) {
      out += byte_of(text[i + 1], text[i + 2]);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string from_hex(std::string_view text) {
  if (text.size() < 2) return {};
  std::string out((text.size() - 2) / 2, '\0');
  const char* from = text.data() + 2;
  for (auto& byte : out) {
    byte = byte_of(from[0], from[1]);
    from += 2;
  }
  return out;
}

} // namespace reseq::store::postgres

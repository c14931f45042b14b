#include "reseq/model/transaction.hpp"

#include <array>
#include <charconv>

namespace reseq {

/// As short as it can be read back exactly.
parameter::parameter(double value) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  text_.emplace(digits.data(), end);
}

parameter parameter::bytes(std::string_view value) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text = "\\x";
  text.reserve(2 * value.size() + 2);
  for (const unsigned char byte : value) text += {digits[byte >> 4U], digits[byte & 0xfU]};
  return {std::move(text)};
}

} // namespace reseq

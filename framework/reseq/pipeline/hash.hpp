/// FNV-1a with 64 bits: the same number on every machine, for fingerprints and for seeds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace reseq::detail {

/// Hashes a list of fields, so that ("ab", "c") and ("a", "bc") differ.
class hasher {
public:
  hasher& add(std::string_view field) {
    add(static_cast<std::uint64_t>(field.size()));
    for (const char c : field) mix(static_cast<unsigned char>(c));
    return *this;
  }

  hasher& add(std::uint64_t number) {
    for (unsigned shift = 0; shift < 64; shift += 8) mix(static_cast<unsigned char>(number >> shift));
    return *this;
  }

  [[nodiscard]] std::uint64_t value() const { return value_; }

  /// 16 lower-case digits.
  [[nodiscard]] std::string hex() const {
    std::string digits(16, '0');
    auto rest = value_;
    for (auto at = digits.rbegin(); at != digits.rend(); ++at, rest >>= 4U) *at = "0123456789abcdef"[rest & 15U];
    return digits;
  }

private:
  void mix(unsigned char byte) { value_ = (value_ ^ byte) * 0x100000001b3ULL; }

  std::uint64_t value_ = 0xcbf29ce484222325ULL;
};

} // namespace reseq::detail

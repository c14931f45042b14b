#include "reseq/wire/uuid.hpp"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <random>
#include <string_view>

#include <openssl/rand.h>

namespace reseq::wire {
namespace {

/// Where the version and the variant stand among the ten random bytes, and the bits beside them that stay random.
constexpr std::size_t version_byte = 0;
constexpr std::size_t variant_byte = 2;

std::uint8_t random_bits(std::size_t byte) {
  if (byte == version_byte) return 0x0f;
  return byte == variant_byte ? 0x3f : 0xff;
}

/// Adds `step` as if the random bits stood side by side. False when they overflow.
bool grow(std::array<std::uint8_t, 10>& bytes, std::uint32_t step) {
  std::uint64_t carry = step;
  for (auto i = bytes.size(); i-- > 0 && carry > 0;) {
    const std::uint64_t mask = random_bits(i);
    const auto sum = (bytes[i] & mask) + carry;
    bytes[i] = static_cast<std::uint8_t>(sum & mask);
    carry = sum / (mask + 1);
  }
  return carry == 0;
}

} // namespace

std::string uuid_v7(wall_time now, const std::array<std::uint8_t, 10>& random) {
  std::array<std::uint8_t, 16> bytes{};
  const auto milliseconds = static_cast<std::uint64_t>(now.time_since_epoch().count());
  for (unsigned i = 0; i < 6; ++i) bytes[i] = static_cast<std::uint8_t>(milliseconds >> (40U - 8U * i) & 0xffU);
  std::ranges::copy(random, bytes.begin() + 6);
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0fU) | 0x70U); // version 7
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3fU) | 0x80U); // the variant of RFC 9562

  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (unsigned i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += digits[bytes[i] >> 4U];
    text += digits[bytes[i] & 15U];
  }
  return text;
}

std::string uuid_v7_row::next(wall_time now, const std::array<std::uint8_t, 10>& random) {
  if (now > last_) {
    last_ = now;
    random_ = random;
  } else {
    const auto step = 1 + (std::uint32_t{random[9]} | std::uint32_t{random[8]} << 8U | std::uint32_t{random[7]} << 16U);
    if (!grow(random_, step)) ++last_; // borrowed from the next millisecond
  }
  return uuid_v7(last_, random_);
}

std::string make_uuid() {
  // OpenSSL's generator is seeded once; `std::random_device` asks the hardware each time, which on virtual machines
  // can take half a millisecond.
  std::array<std::uint8_t, 10> random{};
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) {
    std::random_device slow;
    std::ranges::generate(random, [&] { return static_cast<std::uint8_t>(slow() & 0xffU); });
  }
  static std::mutex one_at_a_time;
  static uuid_v7_row row;
  const std::lock_guard hold{one_at_a_time};
  return row.next(std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()), random);
}

} // namespace reseq::wire

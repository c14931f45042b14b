#include "reseq/wire/uuid.hpp"

#include <algorithm>
#include <chrono>
#include <random>
#include <string_view>

#include <openssl/rand.h>

namespace reseq::wire {

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

std::string make_uuid() {
  // OpenSSL's generator is seeded once; `std::random_device` asks the hardware each time, which on virtual machines
  // can take half a millisecond.
  std::array<std::uint8_t, 10> random{};
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) {
    std::random_device slow;
    std::ranges::generate(random, [&] { return static_cast<std::uint8_t>(slow() & 0xffU); });
  }
  return uuid_v7(std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()), random);
}

} // namespace reseq::wire

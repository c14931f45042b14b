/// SHA-256 over pieces.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace reseq::wire {

using sha256_digest = std::array<std::uint8_t, 32>;

/// A hash under way. For one thread at a time. Throws `std::bad_alloc` when OpenSSL has no memory.
class sha256 {
public:
  sha256();
  sha256(sha256&&) noexcept;
  sha256& operator=(sha256&&) noexcept;
  ~sha256();

  /// Takes the bytes as they are; where one piece ends makes no difference.
  sha256& add(std::string_view bytes);
  /// Takes the length, as 8 bytes with the highest first, then the bytes: no two lists of pieces hash alike.
  sha256& add_with_length(std::string_view bytes);
  /// Takes a number as 8 bytes, the highest first.
  sha256& add_number(std::uint64_t number);

  /// The digest of all that was added. Afterwards the hash may only be destroyed or assigned to.
  sha256_digest finish();

private:
  struct context;
  std::unique_ptr<context> context_;
};

/// The digest of `bytes` as 64 lower-case hexadecimal digits.
std::string sha256_hex(std::string_view bytes);

} // namespace reseq::wire

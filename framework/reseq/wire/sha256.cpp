#include "reseq/wire/sha256.hpp"

#include <new>

#include <openssl/evp.h>

namespace reseq::wire {
namespace {

/// With a table fixed at build time there is nothing that can fail but memory.
void require(int ok) {
  if (ok != 1) throw std::bad_alloc{};
}

/// Fetched once: looking the algorithm up by name costs more than hashing a short text.
const EVP_MD* algorithm() {
  static const std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> fetched{EVP_MD_fetch(nullptr, "SHA256", nullptr),
                                                                       &EVP_MD_free};
  return fetched.get();
}

} // namespace

struct sha256::context {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> evp{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
};

sha256::sha256() : context_(std::make_unique<context>()) {
  if (!context_->evp) throw std::bad_alloc{};
  require(EVP_DigestInit_ex(context_->evp.get(), algorithm(), nullptr));
}

sha256::sha256(sha256&&) noexcept = default;
sha256& sha256::operator=(sha256&&) noexcept = default;
sha256::~sha256() = default;

sha256& sha256::add(std::string_view bytes) {
  require(EVP_DigestUpdate(context_->evp.get(), bytes.data(), bytes.size()));
  return *this;
}

sha256& sha256::add_with_length(std::string_view bytes) { return add_number(bytes.size()).add(bytes); }

sha256& sha256::add_number(std::uint64_t number) {
  std::array<char, 8> bytes{};
  for (unsigned i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(number >> (56U - 8U * i) & 0xffU);
  return add({bytes.data(), bytes.size()});
}

sha256_digest sha256::finish() {
  sha256_digest digest{};
  require(EVP_DigestFinal_ex(context_->evp.get(), digest.data(), nullptr));
  return digest;
}

std::string sha256_hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string hex;
  for (const auto byte : sha256{}.add(bytes).finish()) {
    hex += digits[byte >> 4U];
    hex += digits[byte & 15U];
  }
  return hex;
}

} // namespace reseq::wire

#include "reseq/core/receiver_backoff.hpp"

#include <algorithm>

namespace reseq::core {
namespace {

constexpr duration first_wait = std::chrono::milliseconds{100};
constexpr duration longest_wish = std::chrono::hours{1};

} // namespace

duration receiver_backoff::after(std::uint32_t failures, duration wish) {
  auto wait = std::min(first_wait, longest_);
  for (std::uint32_t n = 0; n < failures && wait < longest_; ++n) wait = std::min(2 * wait, longest_);
  const auto share = 0.5 + 0.5 * random_.share();
  const duration chosen{static_cast<duration::rep>(share * static_cast<double>(wait.count()))};
  return std::max(chosen, std::min(wish, longest_wish));
}

std::uint64_t receiver_backoff::draw(std::uint64_t nth) const { return detail::random_numbers{seed_ + nth}.next(); }

} // namespace reseq::core

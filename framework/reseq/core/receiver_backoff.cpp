#include "reseq/core/receiver_backoff.hpp"

#include <algorithm>

namespace reseq::core {
namespace {

constexpr duration first_wait = std::chrono::milliseconds{100};
constexpr duration longest_wish = std::chrono::hours{1};

std::uint64_t splitmix(std::uint64_t& state) {
  state += 0x9e3779b97f4a7c15U;
  auto z = state;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31U);
}

} // namespace

duration receiver_backoff::after(std::uint32_t failures, duration wish) {
  auto wait = std::min(first_wait, longest_);
  for (std::uint32_t n = 0; n < failures && wait < longest_; ++n) wait = std::min(2 * wait, longest_);
  const auto share = 0.5 + 0.5 * static_cast<double>(splitmix(random_) >> 11U) / 9007199254740992.0;
  const duration chosen{static_cast<duration::rep>(share * static_cast<double>(wait.count()))};
  return std::max(chosen, std::min(wish, longest_wish));
}

std::uint64_t receiver_backoff::draw(std::uint64_t nth) const {
  auto state = random_ + nth;
  return splitmix(state);
}

} // namespace reseq::core

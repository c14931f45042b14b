#include "choices.hpp"

namespace reseq::simulation {
namespace {

std::uint64_t splitmix(std::uint64_t& state) {
  state += 0x9e3779b97f4a7c15U;
  auto z = state;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31U);
}

} // namespace

std::uint32_t choices::below(std::uint32_t bound) {
  if (bound <= 1) return 0;
  if (replaying_) return next_ < tape_.size() ? tape_[next_++] % bound : 0;
  const auto drawn = static_cast<std::uint32_t>(((splitmix(random_) >> 32U) * bound) >> 32U);
  tape_.push_back(drawn);
  return drawn;
}

} // namespace reseq::simulation

#include "reseq/core/delivery_window.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>
#include <variant>

namespace reseq::core {
namespace {

constexpr duration first_backoff = std::chrono::milliseconds{100};
constexpr duration longest_wish = std::chrono::hours{1};

std::uint64_t splitmix(std::uint64_t& state) {
  state += 0x9e3779b97f4a7c15U;
  auto z = state;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31U);
}

} // namespace

delivery_window::delivery_window(std::uint32_t batch, duration retry_max, std::uint64_t seed)
  : batch_(std::max(batch, 1U)), retry_max_(retry_max), random_(seed) {}

std::size_t delivery_window::next_size() const {
  if (repeat_ > 0) return repeat_;
  return one_by_one_ > 0 ? 1 : batch_;
}

request_id delivery_window::start(std::size_t messages) {
  outstanding_ = messages;
  return ++last_request_;
}

delivery_verdict delivery_window::answer(request_id request, const receiver_answer& answer, time_point now) {
  if (idle() || request != last_request_) return delivery_verdict::late;
  if (const auto* trouble = std::get_if<core::failing>(&answer))
    return back_off(trouble->why, std::min(trouble->retry_after.value_or(duration::zero()), longest_wish), now);
  if (const auto* old = std::get_if<stale>(&answer))
    return back_off("the receiver has seen epoch " + std::to_string(old->seen.value()), duration::zero(), now);

  const auto messages = std::exchange(outstanding_, 0);
  repeat_ = 0;
  failures_ = 0;
  last_error_.clear();
  if (std::holds_alternative<confirmed>(answer)) {
    one_by_one_ -= std::min(one_by_one_, messages);
    return delivery_verdict::delivered;
  }
  if (messages == 1) {
    one_by_one_ = 0;
    return delivery_verdict::refused;
  }
  one_by_one_ = messages;
  return delivery_verdict::again;
}

std::optional<time_point> delivery_window::not_before() const {
  if (failures_ == 0 || !idle()) return std::nullopt;
  return not_before_;
}

delivery_verdict delivery_window::back_off(std::string why, duration wish, time_point now) {
  repeat_ = std::exchange(outstanding_, 0);
  last_error_ = std::move(why);
  auto delay = std::min(first_backoff, retry_max_);
  for (std::uint32_t n = 0; n < failures_ && delay < retry_max_; ++n) delay = std::min(2 * delay, retry_max_);
  ++failures_;
  not_before_ = now + std::max(random_share(delay), wish);
  return delivery_verdict::again;
}

duration delivery_window::random_share(duration most) {
  const auto share = 0.5 + 0.5 * static_cast<double>(splitmix(random_) >> 11U) / 9007199254740992.0;
  return duration{static_cast<duration::rep>(share * static_cast<double>(most.count()))};
}

} // namespace reseq::core

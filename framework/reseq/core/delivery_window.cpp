#include "reseq/core/delivery_window.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>
#include <variant>

namespace reseq::core {

delivery_window::delivery_window(std::uint32_t batch, duration retry_max, std::uint64_t seed)
  : batch_(std::max(batch, 1U)), backoff_(retry_max, seed) {}

std::size_t delivery_window::next_size() const {
  if (repeat_ > 0) return repeat_;
  return one_by_one_ > 0 ? 1 : batch_;
}

request_id delivery_window::start(std::size_t messages, time_point now) {
  outstanding_ = messages;
  started_ = now;
  return ++last_request_;
}

delivery_verdict delivery_window::answer(request_id request, const receiver_answer& answer, time_point now) {
  if (idle() || request != last_request_) return delivery_verdict::late;
  if (const auto* trouble = std::get_if<core::failing>(&answer))
    return back_off(trouble->why, trouble->retry_after.value_or(duration::zero()), now);
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

void delivery_window::end_backoff(time_point now) {
  failures_ = std::min(failures_, 1U);
  not_before_ = std::min(not_before_, now);
}

std::optional<time_point> delivery_window::asked_at() const { return idle() ? std::nullopt : std::optional{started_}; }

std::optional<time_point> delivery_window::not_before() const {
  if (failures_ == 0 || !idle()) return std::nullopt;
  return not_before_;
}

delivery_verdict delivery_window::back_off(std::string why, duration wish, time_point now) {
  repeat_ = std::exchange(outstanding_, 0);
  last_error_ = std::move(why);
  not_before_ = now + backoff_.after(failures_++, wish);
  return delivery_verdict::again;
}

} // namespace reseq::core

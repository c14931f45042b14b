#include "reseq/core/key_delivery.hpp"

#include <algorithm>
#include <set>
#include <utility>
#include <variant>

namespace reseq::core {

key_delivery::key_delivery(std::uint32_t connections, std::uint32_t batch, duration retry_max, std::uint64_t seed)
  : connections_(std::max(connections, 1U)), batch_(std::max(batch, 1U)), backoff_(retry_max, seed) {}

key_release key_delivery::allowance(time_point now) const {
  if (requests_.size() >= connections_) return {};
  if (!away_) return {.count = batch_, .first_time = true, .again = may_repeat()};
  if (probing_ || now < not_before_) return {};
  return {
    .count = batch_, .first_time = true, .again = true, .probe = true, .draw = backoff_.draw(last_request_.value())};
}

/// Keys that hang must not occupy every connection.
bool key_delivery::may_repeat() const { return troubled_ < std::max(connections_ / 2, 1U); }

request_id key_delivery::start(const key_release& what, std::vector<sequence> messages, key_lane& from,
                               time_point now) {
  const auto& trouble = from.trouble(messages.front());
  const bool troubled = trouble.alone || trouble.singly > 0;
  if (troubled) ++troubled_;
  probing_ = probing_ || what.probe;
  requests_.emplace(++last_request_, request{std::move(messages), now, troubled, what.probe});
  return last_request_;
}

key_delivery::reading key_delivery::answer(request_id id, const receiver_answer& answer, time_point now,
                                           key_lane& from) {
  auto found = requests_.extract(id);
  if (!found) return {};
  auto& done = found.mapped();
  if (done.troubled) --troubled_;
  if (done.probe) probing_ = false;
  if (const auto* trouble = std::get_if<core::failing>(&answer)) {
    fail(done, trouble->why, trouble->retry_after.value_or(duration::zero()), now, from);
    return {delivery_verdict::again, std::move(done.messages)};
  }
  if (const auto* old = std::get_if<stale>(&answer)) {
    const auto why = "the receiver has seen epoch " + std::to_string(old->seen.value());
    fail(done, why, duration::zero(), now, from);
    return {delivery_verdict::again, std::move(done.messages)};
  }

  got_through();
  const bool several = done.messages.size() > 1;
  if (std::holds_alternative<confirmed>(answer)) {
    for (const auto seq : done.messages) {
      auto& trouble = from.trouble(seq);
      const auto singly = trouble.singly - std::min(trouble.singly, 1U);
      trouble = {};
      trouble.singly = singly;
    }
    return {delivery_verdict::delivered, std::move(done.messages)};
  }
  for (const auto seq : done.messages) from.trouble(seq) = {};
  if (several)
    for (const auto seq : done.messages) ++from.trouble(seq).singly;
  from.take_back(done.messages);
  return {several ? delivery_verdict::again : delivery_verdict::refused, std::move(done.messages)};
}

void key_delivery::got_through() {
  away_ = false;
  witnesses_ = 0;
  failures_ = 0;
}

void key_delivery::fail(const request& failed, const std::string& why, duration wish, time_point now, key_lane& from) {
  std::map<key_trouble*, sequence> keys;
  for (const auto seq : failed.messages) keys.emplace(&from.trouble(seq), seq);
  if (std::ranges::none_of(keys, [](const auto& key) { return key.first->failures > 0; })) ++witnesses_;
  const bool was_away = std::exchange(away_, away_ || witnesses_ >= std::max(connections_, 2U));
  if (failed.probe || (away_ && !was_away))
    not_before_ = now + backoff_.after(failures_++, wish);
  else if (away_)
    not_before_ = std::max(not_before_, now + backoff_.after(0, wish));
  for (const auto& [trouble, seq] : keys) {
    if (!away_ || wish > duration::zero()) from.rest(seq, now + backoff_.after(trouble->failures, wish));
    ++trouble->failures;
    trouble->alone = true;
    trouble->last_error = why;
  }
  from.take_back(failed.messages);
}

void key_delivery::end_backoff(time_point now, key_lane& from) {
  failures_ = std::min(failures_, 1U);
  not_before_ = std::min(not_before_, now);
  from.forgive();
}

std::optional<time_point> key_delivery::asked_at(sequence message) const {
  for (const auto& [id, one] : requests_)
    if (std::ranges::find(one.messages, message) != one.messages.end()) return one.started;
  return std::nullopt;
}

std::optional<time_point> key_delivery::not_before() const {
  if (!away_ || probing_) return std::nullopt;
  return not_before_;
}

} // namespace reseq::core

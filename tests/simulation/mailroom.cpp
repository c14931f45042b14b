#include "mailroom.hpp"

#include <algorithm>
#include <utility>

namespace reseq::simulation {

mailroom::mailroom() { lines_.reserve(32); }

void mailroom::post(party from, party to, letter what) {
  auto& number = line_number_[line_of(from, to)];
  if (number == 0) {
    lines_.emplace_back();
    number = static_cast<std::uint16_t>(lines_.size());
  }
  auto& queue = lines_[number - 1U];
  if (queue.empty()) busy_.push_back(static_cast<std::uint16_t>(number - 1U));
  queue.push_back(std::move(what));
}

void mailroom::deliver(std::size_t nth) {
  auto& queue = lines_[busy_[nth]];
  const auto first = std::move(queue.front());
  queue.pop_front();
  if (queue.empty()) busy_.erase(busy_.begin() + static_cast<std::ptrdiff_t>(nth));
  first();
}

void mailroom::ring_at(time_point due, party whom, letter what) {
  timers_.push_back({due, ++last_timer_, whom, std::move(what)});
  std::ranges::push_heap(timers_, later);
}

std::optional<time_point> mailroom::next_ring() const {
  if (timers_.empty()) return std::nullopt;
  return timers_.front().due;
}

void mailroom::ring() {
  std::ranges::pop_heap(timers_, later);
  const auto rung = std::move(timers_.back().what);
  timers_.pop_back();
  rung();
}

void mailroom::cut(party from, party to) {
  const auto number = line_number_[line_of(from, to)];
  if (number == 0) return;
  lines_[number - 1U].clear();
  std::erase(busy_, static_cast<std::uint16_t>(number - 1U));
}

void mailroom::lose_owner() {
  for (auto& queue : lines_) queue.clear(); // the owner's process is at one end of every connection
  busy_.clear();
  std::erase_if(timers_, [](const timer& t) { return t.whom < first_outside; });
  std::ranges::make_heap(timers_, later);
}

} // namespace reseq::simulation

#include "actors/journal_health.hpp"

#include <utility>

namespace reseq::actors {

void journal_health::began(time_point now) {
  const std::lock_guard hold{mutex_};
  committing_since_ = now;
}

void journal_health::worked() {
  const std::lock_guard hold{mutex_};
  committing_since_.reset();
  failing_.reset();
}

void journal_health::worked_in_part() {
  const std::lock_guard hold{mutex_};
  committing_since_.reset();
}

void journal_health::failed(std::string why, time_point now) {
  const std::lock_guard hold{mutex_};
  committing_since_.reset();
  failing_ = trouble{std::move(why), failing_ ? failing_->since : now};
}

std::optional<journal_health::trouble> journal_health::hangs(time_point now) const {
  const std::lock_guard hold{mutex_};
  return under_way_too_long(now);
}

std::optional<journal_health::trouble> journal_health::look(time_point now) const {
  const std::lock_guard hold{mutex_};
  return failing_ ? failing_ : under_way_too_long(now);
}

std::optional<journal_health::trouble> journal_health::under_way_too_long(time_point now) const {
  if (!committing_since_ || now - *committing_since_ <= longest_commit) return std::nullopt;
  const auto waited = std::chrono::duration_cast<std::chrono::seconds>(now - *committing_since_).count();
  return trouble{"a commit has been under way for " + std::to_string(waited) + " s", *committing_since_, true};
}

} // namespace reseq::actors

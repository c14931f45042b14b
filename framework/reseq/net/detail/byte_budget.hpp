/// Memory that many share: whoever does not fit waits in line. Pure; one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <utility>

namespace reseq::net::detail {

class byte_budget {
public:
  /// Told that the bytes are there; returns whether they are still wanted (then they are to be given back later).
  using granted = std::function<bool()>;

  explicit byte_budget(std::uint64_t total) : total_(total) {}

  /// Takes `bytes` now and returns true, or returns false and calls `later` once they fit and everybody who asked
  /// before has got theirs. More than the total is granted while nothing else is taken.
  bool take(std::uint64_t bytes, granted later) {
    if (waiting_.empty() && fits(bytes)) {
      used_ += bytes;
      return true;
    }
    waiting_.push_back({bytes, std::move(later)});
    return false;
  }

  /// Takes `bytes` more for somebody who has `held` already, before those who wait in line, or returns false: who holds
  /// something and waits for more may wait for ever.
  bool grow(std::uint64_t held, std::uint64_t bytes) {
    if (used_ != held && !fits(bytes)) {
      missed_ = bytes;
      return false;
    }
    used_ += bytes;
    return true;
  }

  /// Gives back what was taken.
  void give(std::uint64_t bytes) {
    used_ -= bytes;
    if (fits(missed_)) missed_ = 0;
    while (!waiting_.empty() && fits(waiting_.front().bytes)) {
      auto next = std::move(waiting_.front());
      waiting_.pop_front();
      used_ += next.bytes;
      if (!next.told()) used_ -= next.bytes;
    }
  }

  [[nodiscard]] std::uint64_t used() const { return used_; }
  /// Whether somebody waits in line, or could not grow and could not yet.
  [[nodiscard]] bool contended() const { return missed_ > 0 || !waiting_.empty(); }

private:
  struct waiter {
    std::uint64_t bytes;
    granted told;
  };

  [[nodiscard]] bool fits(std::uint64_t bytes) const {
    return used_ == 0 || (used_ <= total_ && bytes <= total_ - used_);
  }

  std::uint64_t total_;
  std::uint64_t used_ = 0;
  std::uint64_t missed_ = 0; ///< by how much somebody could not grow last
  std::deque<waiter> waiting_;
};

} // namespace reseq::net::detail

/// A priority queue for keys that mostly arrive in ascending order, from which anything can be removed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "reseq/core/detail/indexed_heap.hpp"
#include "reseq/core/detail/slab.hpp"

namespace reseq::core::detail {

/// Slots, the one with the least key on top. What comes in order stands in a run, where pushing, taking and removing
/// cost the same however long it is; only what comes out of order goes into a heap. `place(slot)` as for
/// `indexed_heap`; its content is this queue's own business.
template <class Key>
class ascending_queue {
public:
  [[nodiscard]] bool empty() const { return run_.empty() && strays_.empty(); }

  /// The slot with the least key; the queue is not empty.
  [[nodiscard]] slot top() const { return run_leads() ? run_.front() : strays_.top(); }
  [[nodiscard]] Key top_key() const { return run_leads() ? run_keys_.front() : strays_.top_key(); }

  /// The key of what says that its place is `at`.
  [[nodiscard]] Key key_at(std::uint32_t at) const { return in_run(at) ? run_keys_[offset(at)] : strays_.key_at(at); }

  template <class Place>
  void push(Key key, slot what, Place place) {
    if (!run_.empty() && key < run_keys_.back()) {
      strays_.push(key, what, place);
      return;
    }
    place(what) = run_place(run_.size());
    run_.push_back(what);
    run_keys_.push_back(key);
  }

  /// Removes what says that its place is `at`.
  template <class Place>
  void erase(std::uint32_t at, Place place) {
    if (!in_run(at)) {
      strays_.erase(at, place);
      return;
    }
    run_[offset(at)] = no_slot;
    ++gaps_;
    drop_gaps(place);
  }

private:
  // Places in the run are counted from the first push on, modulo 2^31, so that taking from the front moves none.
  static constexpr std::uint32_t run_bit = 0x80000000U;

  static bool in_run(std::uint32_t at) { return (at & run_bit) != 0; }
  [[nodiscard]] std::uint32_t run_place(std::size_t nth) const {
    return (taken_ + static_cast<std::uint32_t>(nth)) | run_bit;
  }
  [[nodiscard]] std::size_t offset(std::uint32_t at) const { return (at - taken_) & ~run_bit; }

  [[nodiscard]] bool run_leads() const {
    return strays_.empty() || (!run_.empty() && run_keys_.front() < strays_.top_key());
  }

  /// Keeps both ends of the run free of gaps, and gaps fewer than the rest.
  template <class Place>
  void drop_gaps(Place& place) {
    for (; !run_.empty() && run_.front() == no_slot; --gaps_, ++taken_) {
      run_.pop_front();
      run_keys_.pop_front();
    }
    for (; !run_.empty() && run_.back() == no_slot; --gaps_) {
      run_.pop_back();
      run_keys_.pop_back();
    }
    if (gaps_ * 2 <= run_.size()) return;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < run_.size(); ++i) {
      if (run_[i] == no_slot) continue;
      place(run_[i]) = run_place(kept);
      run_[kept] = run_[i];
      run_keys_[kept++] = run_keys_[i];
    }
    run_.resize(kept);
    run_keys_.resize(kept);
    gaps_ = 0;
  }

  std::deque<slot> run_; // by ascending key; `no_slot` is a gap
  std::deque<Key> run_keys_;
  indexed_heap<Key> strays_;
  std::size_t gaps_ = 0;
  std::uint32_t taken_ = 0; // from the front of the run
};

} // namespace reseq::core::detail

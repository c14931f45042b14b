/// A priority queue for keys that mostly arrive in ascending order, from which anything can be removed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "reseq/core/detail/indexed_heap.hpp"
#include "reseq/core/detail/keyed_run.hpp"
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
  [[nodiscard]] slot top() const { return run_leads() ? run_.what(run_.first()) : strays_.top(); }
  [[nodiscard]] Key top_key() const { return run_leads() ? run_.key(run_.first()) : strays_.top_key(); }

  /// The key of what says that its place is `at`.
  [[nodiscard]] Key key_at(std::uint32_t at) const { return in_run(at) ? run_.key(at) : strays_.key_at(at); }

  template <class Place>
  void push(Key key, slot what, Place place) {
    if (!run_.empty() && key < run_.key(run_.end() - 1)) {
      strays_.push(key, what, place);
      return;
    }
    place(what) = run_.end() | run_bit;
    run_.push_back(key, what);
  }

  /// Removes what says that its place is `at`.
  template <class Place>
  void erase(std::uint32_t at, Place place) {
    if (!in_run(at)) {
      strays_.erase(at, place);
      return;
    }
    run_.what(at) = no_slot;
    ++gaps_;
    drop_gaps(place);
  }

private:
  // A place in the run is the number there, modulo 2^31.
  static constexpr std::uint32_t run_bit = 0x80000000U;

  static bool in_run(std::uint32_t at) { return (at & run_bit) != 0; }

  [[nodiscard]] bool run_leads() const {
    return strays_.empty() || (!run_.empty() && run_.key(run_.first()) < strays_.top_key());
  }

  /// Keeps both ends of the run free of gaps, and gaps fewer than the rest.
  template <class Place>
  void drop_gaps(Place& place) {
    for (; !run_.empty() && run_.what(run_.first()) == no_slot; --gaps_) run_.pop_front();
    for (; !run_.empty() && run_.what(run_.end() - 1) == no_slot; --gaps_) run_.pop_back();
    if (gaps_ * 2 <= run_.size()) return;
    auto kept = run_.first();
    for (auto n = run_.first(); n != run_.end(); ++n) {
      if (run_.what(n) == no_slot) continue;
      place(run_.what(n)) = kept | run_bit;
      run_.key(kept) = run_.key(n);
      run_.what(kept++) = run_.what(n);
    }
    while (run_.end() != kept) run_.pop_back();
    gaps_ = 0;
  }

  keyed_run<Key> run_; // by ascending key; `no_slot` is a gap
  indexed_heap<Key> strays_;
  std::size_t gaps_ = 0;
};

} // namespace reseq::core::detail

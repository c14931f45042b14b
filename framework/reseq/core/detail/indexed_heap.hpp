/// A priority queue from which anything can be removed, not only the least.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "reseq/core/detail/slab.hpp"

namespace reseq::core::detail {

/// Slots, the one with the least key on top; equal keys in no particular order. What changes places is told so:
/// `place(slot)` gives the `std::uint32_t&` in which a slot's owner keeps where it stands. Everything takes logarithmic
/// time, pushing an increasing key constant time.
template <class Key>
class indexed_heap {
public:
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

  /// The least; the heap is not empty.
  [[nodiscard]] slot top() const { return entries_.front().what; }
  [[nodiscard]] Key top_key() const { return entries_.front().key; }

  /// The key of what stands at `at`.
  [[nodiscard]] Key key_at(std::uint32_t at) const { return entries_[at].key; }

  template <class Place>
  void push(Key key, slot what, Place place) {
    entries_.push_back({key, what});
    rise(entries_.size() - 1, place);
  }

  /// Removes what stands at `at`.
  template <class Place>
  void erase(std::uint32_t at, Place place) {
    const auto last = entries_.back();
    entries_.pop_back();
    if (at == entries_.size()) return;
    entries_[at] = last;
    if (at > 0 && last.key < entries_[parent(at)].key)
      rise(at, place);
    else
      sink(at, place);
  }

private:
  struct entry {
    Key key;
    slot what;
  };

  static constexpr std::size_t arity = 4; // four entries of 16 bytes fill a cache line

  static std::size_t parent(std::size_t at) { return (at - 1) / arity; }

  template <class Place>
  void put(std::size_t at, const entry& e, Place& place) {
    entries_[at] = e;
    place(e.what) = static_cast<std::uint32_t>(at);
  }

  template <class Place>
  void rise(std::size_t at, Place& place) {
    const auto moving = entries_[at];
    while (at > 0 && moving.key < entries_[parent(at)].key) {
      put(at, entries_[parent(at)], place);
      at = parent(at);
    }
    put(at, moving, place);
  }

  template <class Place>
  void sink(std::size_t at, Place& place) {
    const auto moving = entries_[at];
    for (auto least = least_child(at); least != at && entries_[least].key < moving.key; least = least_child(at)) {
      put(at, entries_[least], place);
      at = least;
    }
    put(at, moving, place);
  }

  /// The least of those directly below `at`, or `at` when there is none.
  [[nodiscard]] std::size_t least_child(std::size_t at) const {
    const auto first = at * arity + 1;
    if (first >= entries_.size()) return at;
    auto least = first;
    for (auto child = first + 1; child < first + arity && child < entries_.size(); ++child)
      if (entries_[child].key < entries_[least].key) least = child;
    return least;
  }

  std::vector<entry> entries_;
};

} // namespace reseq::core::detail

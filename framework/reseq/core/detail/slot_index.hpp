/// Finds slots by a hash of what they hold; the key itself stays in the slot. For numbers see `dense_index`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "reseq/core/detail/slab.hpp"

namespace reseq::core::detail {

/// A hash table of eight bytes an entry, without an allocation for each. Open addressing with linear probing; erasing
/// moves the followers back, so that it never fills up with tombstones.
class slot_index {
public:
  /// The slot entered under `hash` for which `is_it(slot)` holds, or `no_slot`.
  template <class IsIt>
  [[nodiscard]] slot find(std::uint64_t hash, IsIt is_it) const {
    if (entries_.empty()) return no_slot;
    const auto wanted = shorten(hash);
    for (auto at = home(wanted); entries_[at].where != no_slot; at = next(at))
      if (entries_[at].hash == wanted && is_it(entries_[at].where)) return entries_[at].where;
    return no_slot;
  }

  /// `where` is not in the index.
  void insert(std::uint64_t hash, slot where) {
    if ((used_ + 1) * 4 > entries_.size() * 3) grow();
    place({shorten(hash), where});
    ++used_;
  }

  /// `where` was inserted under `hash`.
  void erase(std::uint64_t hash, slot where) {
    auto hole = home(shorten(hash));
    while (entries_[hole].where != where) hole = next(hole);
    for (auto at = next(hole); entries_[at].where != no_slot; at = next(at)) {
      const auto distance = (at - home(entries_[at].hash)) & mask();
      if (distance < ((at - hole) & mask())) continue; // it would come to stand before its home
      entries_[hole] = entries_[at];
      hole = at;
    }
    entries_[hole].where = no_slot;
    --used_;
  }

private:
  struct entry {
    std::uint32_t hash = 0;
    slot where = no_slot;
  };

  static std::uint32_t shorten(std::uint64_t hash) { return static_cast<std::uint32_t>(hash); }
  [[nodiscard]] std::size_t mask() const { return entries_.size() - 1; }
  [[nodiscard]] std::size_t home(std::uint32_t hash) const { return hash & mask(); }
  [[nodiscard]] std::size_t next(std::size_t at) const { return (at + 1) & mask(); }

  void place(entry e) {
    auto at = home(e.hash);
    while (entries_[at].where != no_slot) at = next(at);
    entries_[at] = e;
  }

  void grow() {
    std::vector<entry> old(entries_.empty() ? 16 : entries_.size() * 2);
    old.swap(entries_);
    for (const auto& e : old)
      if (e.where != no_slot) place(e);
  }

  std::vector<entry> entries_; // a power of two of them, at most three quarters used
  std::size_t used_ = 0;
};

} // namespace reseq::core::detail

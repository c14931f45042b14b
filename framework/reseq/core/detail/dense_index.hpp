/// Finds slots by numbers that stand close together, such as positions.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reseq/core/detail/slab.hpp"

namespace reseq::core::detail {

/// A hash table whose entries are runs of four neighbours: they come and go together, and share one look-up's half
/// cache line. A key is a number and a `salt`, whatever else distinguishes it, and is compared here, so that no look-up
/// touches a slot's content. Between 11 and 21 bytes for each of the numbers that stand together, four times as many
/// for one that stands alone.
///
/// Open addressing with linear probing; when a run becomes empty, its followers move back, so that the table never
/// fills up with tombstones.
class dense_index {
public:
  /// What was put under that key, or `no_slot`.
  [[nodiscard]] slot find(std::uint64_t number, std::uint64_t salt = 0) const {
    const auto at = seek(number / neighbours, salt);
    return runs_[at].where[number % neighbours];
  }

  /// The place of that key: `no_slot` if it has none, and the caller fills it then. Valid until the next call.
  [[nodiscard]] slot& at(std::uint64_t number, std::uint64_t salt = 0) {
    auto at = seek(number / neighbours, salt);
    if (runs_[at].number == unused) {
      if ((used_ + 1) * 4 > runs_.size() * 3) {
        grow();
        at = seek(number / neighbours, salt);
      }
      runs_[at].number = number / neighbours;
      runs_[at].salt = salt;
      ++used_;
    }
    return runs_[at].where[number % neighbours];
  }

  /// Something is under that key.
  void erase(std::uint64_t number, std::uint64_t salt = 0) {
    const auto at = seek(number / neighbours, salt);
    runs_[at].where[number % neighbours] = no_slot;
    if (runs_[at].is_empty()) remove(at);
  }

private:
  static constexpr std::uint64_t neighbours = 4;
  static constexpr std::uint64_t unused = UINT64_MAX; // no number divided by `neighbours`

  struct alignas(32) run {
    [[nodiscard]] bool is_empty() const { return (where[0] & where[1] & where[2] & where[3]) == no_slot; }

    std::uint64_t number = unused; ///< the first of its numbers, divided by `neighbours`
    std::uint64_t salt = 0;
    slot where[neighbours] = {no_slot, no_slot, no_slot, no_slot};
  };

  [[nodiscard]] std::size_t mask() const { return runs_.size() - 1; }
  [[nodiscard]] std::size_t home(std::uint64_t number, std::uint64_t salt) const {
    constexpr std::uint64_t golden = 0x9e3779b97f4a7c15U; // spreads consecutive numbers evenly
    return ((number ^ (salt * 0xd6e8feb86659fd93U)) * golden) >> shift_;
  }

  /// Where the run is, or could be.
  [[nodiscard]] std::size_t seek(std::uint64_t number, std::uint64_t salt) const {
    auto at = home(number, salt);
    while (runs_[at].number != unused && (runs_[at].number != number || runs_[at].salt != salt)) at = (at + 1) & mask();
    return at;
  }

  void remove(std::size_t hole) {
    for (auto at = (hole + 1) & mask(); runs_[at].number != unused; at = (at + 1) & mask()) {
      const auto distance = (at - home(runs_[at].number, runs_[at].salt)) & mask();
      if (distance < ((at - hole) & mask())) continue; // it would come to stand before its home
      runs_[hole] = runs_[at];
      hole = at;
    }
    runs_[hole] = {};
    --used_;
  }

  void grow() {
    std::vector<run> old(runs_.size() * 2);
    old.swap(runs_);
    shift_ = 64U - static_cast<unsigned>(std::countr_zero(runs_.size()));
    for (const auto& r : old)
      if (r.number != unused) runs_[seek(r.number, r.salt)] = r;
  }

  std::vector<run> runs_ = std::vector<run>(4); // a power of two of them, at most three quarters used
  unsigned shift_ = 62;                         // leaves so many bits of a hash that they name one of them
  std::size_t used_ = 0;
};

} // namespace reseq::core::detail

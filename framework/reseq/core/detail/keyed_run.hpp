/// A queue of slots with their keys, which keeps memory only for what waits in it, and from whose middle things can be
/// read and changed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "reseq/core/detail/slab.hpp"

namespace reseq::core::detail {

/// As a deque of pairs, but twelve bytes an entry, and reached by number: what is in it is numbered from the first push
/// on, modulo 2^32, so that taking from the front renumbers nothing. Numbers that are equal modulo 2^31 mean the same.
template <class Key>
class keyed_run {
public:
  [[nodiscard]] bool empty() const { return first_ == end_; }
  [[nodiscard]] std::uint32_t size() const { return end_ - first_; }

  /// The number of the front, and the one after the back's.
  [[nodiscard]] std::uint32_t first() const { return first_; }
  [[nodiscard]] std::uint32_t end() const { return end_; }

  [[nodiscard]] Key& key(std::uint32_t number) { return of(number).keys[number % chunk_size]; }
  [[nodiscard]] const Key& key(std::uint32_t number) const { return of(number).keys[number % chunk_size]; }
  [[nodiscard]] slot& what(std::uint32_t number) { return of(number).slots[number % chunk_size]; }
  [[nodiscard]] const slot& what(std::uint32_t number) const { return of(number).slots[number % chunk_size]; }

  void push_back(Key key, slot what) {
    if (end_ % chunk_size == 0) extend();
    auto& last = of(end_);
    last.keys[end_ % chunk_size] = key;
    last.slots[end_ % chunk_size] = what;
    ++end_;
  }
  void pop_front() {
    if (++first_ % chunk_size == 0) drop(first_ - 1);
  }
  void pop_back() {
    if (--end_ % chunk_size == 0) drop(end_);
  }

private:
  static constexpr std::uint32_t chunk_size = 128;

  struct chunk {
    Key keys[chunk_size];
    slot slots[chunk_size];
  };

  [[nodiscard]] std::size_t place(std::uint32_t number) const { return number / chunk_size & (chunks_.size() - 1); }
  [[nodiscard]] chunk& of(std::uint32_t number) { return *chunks_[place(number)]; }
  [[nodiscard]] const chunk& of(std::uint32_t number) const { return *chunks_[place(number)]; }

  /// A chunk for the number `end_`, which begins it.
  void extend() {
    const auto begin = first_ - first_ % chunk_size;
    if ((end_ - begin) / chunk_size == chunks_.size()) {
      std::vector<std::unique_ptr<chunk>> more(chunks_.empty() ? 1 : chunks_.size() * 2);
      for (auto n = begin; n != end_; n += chunk_size)
        more[n / chunk_size & (more.size() - 1)] = std::move(chunks_[place(n)]);
      chunks_ = std::move(more);
    }
    chunks_[place(end_)] = spare_ ? std::move(spare_) : std::make_unique<chunk>();
  }

  void drop(std::uint32_t number) { spare_ = std::move(chunks_[place(number)]); }

  std::vector<std::unique_ptr<chunk>> chunks_; // a ring, a power of two of them
  std::unique_ptr<chunk> spare_;               // so that a queue which is short for long allocates nothing
  std::uint32_t first_ = 0;
  std::uint32_t end_ = 0;
};

} // namespace reseq::core::detail

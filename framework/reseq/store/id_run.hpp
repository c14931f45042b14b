/// Entries of an id index that wait to be written, in the order of their keys at any time: no moment pays for sorting
/// them, or for freeing them, all.
///
/// Keys are expected to be evenly distributed, as hashes are: each falls, by its first bits, into one of many short
/// sorted pieces. Others cost time, nothing else. Not for several threads at once.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reseq/model/ids.hpp"

namespace reseq::store {

struct id_entry {
  std::uint64_t key = 0;
  position at;

  friend auto operator<=>(const id_entry&, const id_entry&) = default;
};

class id_run {
public:
  /// A place between two entries, as long as none is added.
  struct cursor {
    std::size_t piece = 0;
    std::size_t offset = 0;
  };

  /// For about so many entries; more only cost more time each.
  explicit id_run(std::size_t expected);

  void add(id_entry what);
  /// Keeps the memory.
  void clear();
  [[nodiscard]] std::size_t size() const { return size_; }

  /// Appends the positions that have this key.
  void find(std::uint64_t key, std::vector<position>& out) const;
  /// Appends the next entries, at most `count`, in order. The place after them.
  cursor copy(cursor from, std::size_t count, std::vector<id_entry>& out) const;

private:
  [[nodiscard]] std::size_t piece_of(std::uint64_t key) const { return bits_ == 0 ? 0 : key >> (64U - bits_); }

  unsigned bits_;
  std::vector<std::vector<id_entry>> pieces_;
  std::size_t size_ = 0;
};

} // namespace reseq::store

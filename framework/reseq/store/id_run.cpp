#include "reseq/store/id_run.hpp"

#include <algorithm>
#include <bit>

namespace reseq::store {

namespace {

/// Entries of a piece: some cache lines, which a search reads two or three of.
constexpr std::size_t piece_entries = 32;

} // namespace

id_run::id_run(std::size_t expected)
  : bits_(static_cast<unsigned>(std::bit_width(expected / piece_entries))), pieces_(std::size_t{1} << bits_) {}

void id_run::add(id_entry what) {
  auto& piece = pieces_[piece_of(what.key)];
  piece.insert(std::upper_bound(piece.begin(), piece.end(), what), what);
  ++size_;
}

void id_run::clear() {
  for (auto& piece : pieces_) piece.clear();
  size_ = 0;
}

void id_run::find(std::uint64_t key, std::vector<position>& out) const {
  const auto& piece = pieces_[piece_of(key)];
  for (auto it = std::lower_bound(piece.begin(), piece.end(), id_entry{key, {}}); it != piece.end() && it->key == key;
       ++it)
    out.push_back(it->at);
}

id_run::cursor id_run::copy(cursor from, std::size_t count, std::vector<id_entry>& out) const {
  while (count > 0 && from.piece < pieces_.size()) {
    const auto& piece = pieces_[from.piece];
    const std::size_t size = std::min(count, piece.size() - from.offset);
    const auto first = piece.begin() + static_cast<std::ptrdiff_t>(from.offset);
    out.insert(out.end(), first, first + static_cast<std::ptrdiff_t>(size));
    count -= size;
    from.offset += size;
    if (from.offset == piece.size()) from = {from.piece + 1, 0};
  }
  return from;
}

} // namespace reseq::store

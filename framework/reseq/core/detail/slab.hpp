/// Storage that hands out small numbers (slots) instead of pointers and reuses what was removed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace reseq::core::detail {

using slot = std::uint32_t;
inline constexpr slot no_slot = UINT32_MAX;

/// Grows in chunks to the most that ever lived at once and stays there; nothing in it ever moves.
template <class T>
class slab {
public:
  /// A slot whose content is as `remove` left it, so that buffers keep their capacity, or a new default one.
  slot add() {
    if (!vacant_.empty()) {
      const auto at = vacant_.back();
      vacant_.pop_back();
      return at;
    }
    if (used_ == chunks_.size() * chunk_size) chunks_.push_back(std::make_unique<T[]>(chunk_size));
    return used_++;
  }

  /// `at` came from `add` and was not removed since.
  void remove(slot at) { vacant_.push_back(at); }

  T& operator[](slot at) { return chunks_[at / chunk_size][at % chunk_size]; }
  const T& operator[](slot at) const { return chunks_[at / chunk_size][at % chunk_size]; }

  /// Whether `add` ever gave that one.
  [[nodiscard]] bool has(slot at) const { return at < used_; }

  /// How many live.
  [[nodiscard]] std::size_t size() const { return used_ - vacant_.size(); }

private:
  static constexpr slot chunk_size = 128;

  std::vector<std::unique_ptr<T[]>> chunks_;
  std::vector<slot> vacant_;
  slot used_ = 0; // slots ever handed out
};

} // namespace reseq::core::detail

/// A queue in one piece of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace reseq::core::detail {

/// Grows to the most that ever waited at once and stays there. What is in it is numbered from the first push on, modulo
/// 2^32, so that taking from the front renumbers nothing.
template <class T>
class ring {
public:
  [[nodiscard]] bool empty() const { return first_ == end_; }
  [[nodiscard]] std::uint32_t size() const { return end_ - first_; }

  /// The number of the front, and the one after the back's.
  [[nodiscard]] std::uint32_t first() const { return first_; }
  [[nodiscard]] std::uint32_t end() const { return end_; }

  /// What has that number. Any number that is equal modulo 2^31 will do.
  [[nodiscard]] T& operator[](std::uint32_t number) { return places_[number & mask()]; }
  [[nodiscard]] const T& operator[](std::uint32_t number) const { return places_[number & mask()]; }

  [[nodiscard]] const T& front() const { return (*this)[first_]; }
  [[nodiscard]] const T& back() const { return (*this)[end_ - 1]; }

  void push_back(T what) {
    if (size() == places_.size()) grow();
    (*this)[end_++] = what;
  }
  void push_front(T what) {
    if (size() == places_.size()) grow();
    (*this)[--first_] = what;
  }
  void pop_front() { ++first_; }
  void pop_back() { --end_; }

private:
  static constexpr std::size_t least = 4;

  [[nodiscard]] std::uint32_t mask() const { return static_cast<std::uint32_t>(places_.size() - 1); }

  void grow() {
    std::vector<T> larger(places_.empty() ? least : places_.size() * 2);
    for (auto number = first_; number != end_; ++number) larger[number & (larger.size() - 1)] = (*this)[number];
    places_ = std::move(larger);
  }

  std::vector<T> places_; // a power of two of them, at most 2^31
  std::uint32_t first_ = 0;
  std::uint32_t end_ = 0;
};

} // namespace reseq::core::detail

/// Strongly typed numbers: a position cannot be passed where a sequence is wanted.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <type_traits>

namespace reseq {

/// A whole number that only mixes with its own kind. `Tag` is any type used nowhere else.
/// Ordered, hashable, trivially copyable; default is zero.
template <class Tag, class Rep = std::uint64_t>
class strong {
public:
  using rep = Rep;

  constexpr strong() = default;
  constexpr explicit strong(Rep value) : value_(value) {}

  [[nodiscard]] constexpr Rep value() const { return value_; }

  friend constexpr auto operator<=>(strong, strong) = default;

  constexpr strong& operator++() {
    ++value_;
    return *this;
  }

  /// The number `n` places further on.
  friend constexpr strong operator+(strong a, Rep n) { return strong{static_cast<Rep>(a.value_ + n)}; }
  /// The number `n` places before; `n` is at most `a.value()`.
  friend constexpr strong operator-(strong a, Rep n) { return strong{static_cast<Rep>(a.value_ - n)}; }
  /// How many places lie between; `b` is at most `a`.
  friend constexpr Rep operator-(strong a, strong b) { return static_cast<Rep>(a.value_ - b.value_); }

private:
  Rep value_{};
};

} // namespace reseq

template <class Tag, class Rep>
struct std::hash<reseq::strong<Tag, Rep>> {
  std::size_t operator()(reseq::strong<Tag, Rep> x) const noexcept { return std::hash<Rep>{}(x.value()); }
};

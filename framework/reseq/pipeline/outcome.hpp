/// What becomes of a message in a chain of transforms.
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "reseq/model/message.hpp"

namespace reseq {

using destination_names = std::vector<std::string>;

/// A result. `only_to` narrows the message's destinations to those named in it (empty: nowhere); it never adds one.
struct produced {
  content_ptr body;
  std::optional<destination_names> only_to{};
  destination_names named{}; ///< by a chain: whatever its transforms have narrowed to, to find what is no destination
};

/// The message goes nowhere. Converts to an empty `std::optional`, so that a transform which returns one can say
/// `return reseq::drop;`.
struct dropped {
  template <class T>
  operator std::optional<T>() const { // NOLINT(google-explicit-constructor): converting is its purpose
    return std::nullopt;
  }
};

inline constexpr dropped drop{};

/// A failed attempt; `permanent`: trying again cannot help.
struct failed {
  std::string what; ///< for a person; at most `max_failure_bytes` when it comes out of a chain
  bool permanent = false;
};

inline constexpr std::size_t max_failure_bytes = 1024;

using outcome = std::variant<produced, dropped, failed>;

/// A transform's result together with the destinations it is for. A last transform that decides between several
/// kinds of ending returns an `outcome`, to which routed content converts.
template <class T>
struct routed {
  T value;
  destination_names only_to;

  operator produced() && // NOLINT(google-explicit-constructor): `return to({"billing"}, body);` as an `outcome`
    requires std::same_as<T, content> {
    return {std::make_shared<const content>(std::move(value)), std::move(only_to)};
  }
};

/// `return reseq::to({"billing"}, result);`: only these destinations get it. Several narrowings in one chain leave
/// the destinations that all of them name. A name that the pipeline has no destination for fails the attempt.
template <class T>
[[nodiscard]] routed<std::decay_t<T>> to(destination_names names, T&& value) {
  return {std::forward<T>(value), std::move(names)};
}

/// `return reseq::to_all(body);`: the ordinary ending, for a transform that returns an `outcome`.
[[nodiscard]] inline produced to_all(content body) { return {std::make_shared<const content>(std::move(body))}; }

/// Leaves in `current` what both name; nothing said is everybody.
void narrow(std::optional<destination_names>& current, const std::optional<destination_names>& further);

} // namespace reseq

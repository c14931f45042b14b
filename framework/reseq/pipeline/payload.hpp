/// Which types can be a payload, and how each becomes content.
#pragma once

#include <concepts>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "reseq/model/message.hpp"
#include "reseq/pipeline/outcome.hpp"

namespace reseq {
namespace detail {

template <class T>
inline constexpr bool is_bytes = false;

template <class Byte, class Allocator>
inline constexpr bool is_bytes<std::vector<Byte, Allocator>> =
  std::same_as<Byte, char> || std::same_as<Byte, unsigned char> || std::same_as<Byte, std::byte>;

template <class T>
inline constexpr bool is_text = std::same_as<T, std::string> || std::same_as<T, const char*> || std::same_as<T, char*>;

} // namespace detail

/// What the last transform of a chain may hand over, once `std::optional`, `routed` and `outcome` are taken off. Text
/// and bytes replace the payload and leave content type and headers as they were; `content` replaces all three.
/// (`dropped` and `failed`: a transform that always ends so.)
template <class T>
concept payload = detail::is_text<T> || detail::is_bytes<T> || std::same_as<T, content> ||
  std::same_as<T, content_ptr> || std::same_as<T, dropped> || std::same_as<T, failed>;

/// `value` as the content of `source`'s result. Throws `std::invalid_argument` for a null pointer.
template <payload T>
content_ptr to_content(T&& value, const message& source) {
  const auto with_payload = [&](std::string bytes) {
    return std::make_shared<const content>(content{std::move(bytes), source.content_type(), source.headers()});
  };
  if constexpr (std::is_pointer_v<T> || std::same_as<T, content_ptr>)
    if (!value) throw std::invalid_argument("returned a null pointer as its result");

  if constexpr (std::same_as<T, content_ptr>)
    return std::forward<T>(value);
  else if constexpr (std::same_as<T, content>)
    return std::make_shared<const content>(std::forward<T>(value));
  else if constexpr (detail::is_bytes<T>)
    return with_payload(std::string(reinterpret_cast<const char*>(value.data()), value.size()));
  else if constexpr (detail::is_text<T>)
    return with_payload(std::string(std::forward<T>(value)));
  else
    throw std::logic_error("a chain went on after it had ended");
}

} // namespace reseq

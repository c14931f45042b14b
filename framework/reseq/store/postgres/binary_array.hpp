/// Whole columns as one parameter each: PostgreSQL's binary array format, for `unnest`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace reseq::store::postgres {

class binary_array {
public:
  /// Values are PostgreSQL's own numbers for these types.
  enum class of : std::uint32_t { bytea = 17, bigint = 20, text = 25 };

  explicit binary_array(of type);

  /// Makes room for so many values with so many bytes in all. Only saves time.
  void reserve(std::size_t values, std::size_t bytes);

  void add(std::string_view value);
  void add_readable(std::string_view value); ///< what `to_readable` makes of it
  void add_number(std::uint64_t value);      ///< as a bigint

  /// The parameter, complete with what was added so far.
  [[nodiscard]] const std::string& bytes();

private:
  std::string bytes_;
  std::uint32_t count_ = 0;
};

} // namespace reseq::store::postgres

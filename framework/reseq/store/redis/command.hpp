/// One command for Redis: a vector of arguments, any bytes each.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace reseq::store::redis {

/// All arguments in one buffer: a batch has thousands, most of a few digits.
class command {
public:
  command() = default;
  explicit command(std::string_view name) { add(name); }

  command& add(std::string_view argument) {
    bytes_.append(argument);
    ends_.push_back(bytes_.size());
    return *this;
  }
  command& number(std::uint64_t value) {
    char digits[std::numeric_limits<std::uint64_t>::digits10 + 1];
    const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
    return add({digits, static_cast<std::size_t>(end - digits)});
  }
  [[nodiscard]] std::size_t size() const { return ends_.size(); }
  [[nodiscard]] std::string_view operator[](std::size_t i) const {
    const auto begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view{bytes_}.substr(begin, ends_[i] - begin);
  }

private:
  std::string bytes_;
  std::vector<std::size_t> ends_;
};

} // namespace reseq::store::redis

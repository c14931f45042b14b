/// A TOML document as plain values that remember their lines; what the loader walks, whoever parsed it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace reseq::config {

struct node;
struct member;

using list = std::vector<node>;
using table = std::vector<member>;

/// A date or a time: TOML has them, no key takes one.
struct date {
  friend bool operator==(const date&, const date&) = default;
};

struct node {
  std::variant<bool, std::int64_t, double, std::string, list, table, date> value;
  int line = 0; ///< where the key or the member of a list stands; 0: not from a file

  /// The value if it is a `T`, else null.
  template <class T>
  [[nodiscard]] const T* as() const {
    return std::get_if<T>(&value);
  }
};

struct member {
  std::string name;
  node item;
};

/// Equal values, wherever they stand.
bool operator==(const node& a, const node& b);
bool operator==(const member& a, const member& b);

/// "a string", "an integer", …: for "must be …, not …".
std::string kind_of(const node& item);

/// The member called `name`, or null.
const node* find(const table& from, const std::string& name);

} // namespace reseq::config

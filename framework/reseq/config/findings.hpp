/// What the loader notices: problems, and where each key got its value.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "reseq/config/load.hpp"
#include "reseq/config/options.hpp"

namespace reseq::config {

/// Where something was written: as `problem` names it.
struct origin {
  std::string file;
  int line = 0;
  bool environment = false;
};

class findings {
public:
  /// What `key` says cannot be used by itself.
  void add(const origin& from, const std::string& key, std::string what);

  /// What `key` says does not go with what others say; it may still go, or not, with further ones.
  void add_conflict(const origin& from, const std::string& key, std::string what);

  /// What `key` says can be used, and may be a mistake.
  void warn(const origin& from, const std::string& key, std::string what);

  /// `key`, or the table or list member of that name, was written there.
  void note(const std::string& key, const origin& from);

  /// Where `key` was written, or else the nearest table around it; empty for what C++ composed.
  [[nodiscard]] origin origin_of(std::string key) const;
  [[nodiscard]] bool written(const std::string& key) const { return origins_.contains(key); }

  /// Whether what `key` says cannot be used by itself.
  [[nodiscard]] bool faulty(const std::string& key) const { return faulty_.contains(key); }

  /// All problems, the file's first, by line.
  [[nodiscard]] std::vector<problem> sorted() &&;
  [[nodiscard]] std::vector<problem> warnings() const; ///< in the same order

private:
  std::vector<problem> problems_;
  std::vector<problem> warnings_;
  std::set<std::string> faulty_;
  std::map<std::string, origin> origins_;
};

/// The row for `key`, or null.
template <class T>
const option<T>* find_option(std::string_view key) {
  for (const auto& row : options<T>()) {
    if (row.key == key) return &row;
  }
  return nullptr;
}

/// Gives `target` the value, as `rule::set` does.
template <class T>
complaint put(const option<T>& row, T& target, const node& value) {
  if (row.takes.set) return row.takes.set(target, value);
  return value == preset_value(row.preset) ? complaint{} : row.takes.missing;
}

} // namespace reseq::config

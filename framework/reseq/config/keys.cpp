#include "reseq/config/keys.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>

#include "reseq/config/options.hpp"

namespace reseq::config {
namespace {

/// Levenshtein's distance, one row at a time.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    auto diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const auto replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

std::string_view last_part(std::string_view key) { return key.substr(key.rfind('.') + 1); }

/// A right key in the wrong table is as near as one typing mistake; but a short last part resembles many.
std::size_t key_distance(std::string_view wanted, std::string_view known) {
  return std::min(distance(wanted, known), 2 * distance(last_part(wanted), last_part(known)) + 1);
}

/// Of a word's letters, how many may be wrong: the last part of a key, for what stands before it is read off.
std::size_t most_changes(std::string_view wanted) { return (last_part(wanted).size() + 2) / 3; }

template <class T>
void append_keys(std::vector<std::string>& to, std::string_view prefix) {
  for (const auto& row : options<T>()) to.push_back(std::string(prefix) + std::string(row.key));
}

std::vector<std::string> make_keys() {
  std::vector<std::string> all;
  append_keys<settings>(all, "");
  append_keys<pipeline_settings>(all, pipeline_prefix);
  append_keys<transform_settings>(all, transform_prefix);
  append_keys<destination_settings>(all, destination_prefix);
  append_keys<transform_settings>(all, destination_transform_prefix);
  return all;
}

std::vector<std::string> make_tables(const std::vector<std::string>& keys) {
  std::vector<std::string> all;
  for (const auto& key : keys) {
    for (auto dot = key.find('.'); dot != std::string::npos; dot = key.find('.', dot + 1)) {
      auto name = key.substr(0, dot);
      if (std::ranges::find(all, name) == all.end()) all.push_back(std::move(name));
    }
  }
  return all;
}

} // namespace

std::optional<std::string> nearest(std::string_view wanted, const std::vector<std::string>& known) {
  std::optional<std::string> best;
  // A long key cannot be a typing mistake: what it is compared by is bounded.
  const auto start = wanted.substr(0, 200);
  auto room = most_changes(start) + 1;
  for (const auto& one : known) {
    const auto changes = key_distance(start, one);
    if (changes >= room) continue;
    room = changes;
    best = one;
  }
  return best;
}

std::string unknown_key(std::string_view key) {
  static const auto keys = make_keys();
  static const auto tables = make_tables(keys);
  if (std::ranges::find(tables, key) != tables.end()) return "is a table; name one of its keys";
  auto known = keys;
  // A table can be meant only where one stands, or by its whole name: "node" is no help with "node.x".
  const auto depth = std::ranges::count(key, '.');
  std::ranges::copy_if(tables, std::back_inserter(known), [&](const std::string& name) {
    return std::ranges::count(name, '.') == depth || last_part(name) == key;
  });
  const auto meant = nearest(key, known);
  return "is not a known key; " + (meant ? "the nearest is " + *meant : "conf/reference.toml shows all of them");
}

std::string variable_of(std::string_view key) {
  std::string name = "RESEQ_";
  for (const char c : key) {
    if (c == '.') {
      name += '_';
    } else {
      name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
  }
  return name;
}

} // namespace reseq::config

#include "reseq/config/tree.hpp"

#include <algorithm>

namespace reseq::config {

bool operator==(const node& a, const node& b) { return a.value == b.value; }
bool operator==(const member& a, const member& b) { return a.name == b.name && a.item == b.item; }

std::string kind_of(const node& item) {
  constexpr const char* names[] = {"a boolean", "an integer", "a number", "a string", "a list", "a table", "a date"};
  return names[item.value.index()];
}

const node* find(const table& from, const std::string& name) {
  const auto found = std::ranges::find(from, name, &member::name);
  return found == from.end() ? nullptr : &found->item;
}

} // namespace reseq::config

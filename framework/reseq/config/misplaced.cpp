#include "reseq/config/misplaced.hpp"

#include <vector>

namespace reseq::config {
namespace {

struct heading {
  int line = 0;
  bool of_list = false;
  std::string name;
};

std::optional<heading> read_heading(std::string_view text, int line) {
  const auto start = text.find_first_not_of(" \t");
  if (start == std::string_view::npos || text[start] != '[') return {};
  text.remove_prefix(start + 1);
  const bool of_list = text.starts_with('[');
  if (of_list) text.remove_prefix(1);
  heading found{line, of_list, {}};
  for (const char c : text.substr(0, text.find(']'))) {
    if (c != ' ' && c != '\t') found.name += c;
  }
  return found;
}

/// The headings of the first `last_line` lines.
std::vector<heading> headings(std::string_view text, int last_line) {
  std::vector<heading> all;
  for (int line = 1; line <= last_line; ++line) {
    const auto end = text.find('\n');
    if (auto found = read_heading(text.substr(0, end), line)) all.push_back(std::move(*found));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return all;
}

} // namespace

std::optional<misplaced_table> find_misplaced_table(std::string_view text, int error_line) {
  auto all = headings(text, error_line);
  if (all.empty() || all.back().line != error_line || !all.back().of_list) return {};
  const auto list_name = all.back().name;
  all.pop_back();
  const auto dot = list_name.rfind('.');
  const auto around = dot == std::string::npos ? std::string{} : list_name.substr(0, dot);
  std::optional<misplaced_table> found;
  for (const auto& one : all) {
    // A new member of the list around this one begins anew.
    if (one.of_list && one.name == around) found.reset();
    if (found || !(one.name == list_name || one.name.starts_with(list_name + "."))) continue;
    found = misplaced_table{one.line, one.name,
                            "comes before its [[" + list_name + "]] in line " + std::to_string(error_line) +
                              ": tables of a list's member stand below it"};
  }
  return found;
}

} // namespace reseq::config

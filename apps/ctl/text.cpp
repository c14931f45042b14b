#include "ctl/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace reseq::ctl {
namespace {

using namespace std::chrono_literals;

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

/// How many characters of UTF-8: near enough to columns for what names and numbers are made of.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return !continues_character(c); }));
}

/// How many bytes at the front of `text` are a control character: C0, DEL, or C1 in UTF-8.
std::size_t control_bytes(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x20U || first == 0x7FU) return 1;
  const bool c1 = first == 0xC2U && text.size() > 1 && static_cast<unsigned char>(text[1]) < 0xA0U;
  return c1 ? 2 : 0;
}

std::string padded(const std::string& cell, std::size_t to, align side) {
  const std::string space(to - width(cell), ' ');
  return side == align::left ? cell + space : space + cell;
}

bool read_number(std::string_view text, std::size_t from, std::size_t digits, int& into) {
  const auto part = text.substr(from, digits);
  const auto [end, failed] = std::from_chars(part.data(), part.data() + part.size(), into);
  return failed == std::errc{} && end == part.data() + part.size() && into >= 0;
}

} // namespace

std::string printable(std::string_view text) {
  std::string made;
  bool in_controls = false;
  for (std::size_t i = 0; i < text.size();) {
    const auto control = control_bytes(text.substr(i));
    if (control == 0)
      made += text[i];
    else if (!in_controls)
      made += ' ';
    in_controls = control > 0;
    i += std::max(control, std::size_t{1});
  }
  return made;
}

std::string shortened(std::string_view text, std::size_t columns) {
  auto made = printable(text);
  if (width(made) <= columns) return made;
  std::size_t end = 0;
  for (std::size_t seen = 0; end < made.size(); ++end)
    if (!continues_character(made[end]) && ++seen == columns) break;
  return made.substr(0, end) + "…";
}

std::string span(duration length) {
  if (length < 1s) return std::to_string(std::max<std::int64_t>(length / 1ms, 0)) + "ms";
  constexpr std::array<std::pair<std::chrono::seconds, char>, 4> units{{{24h, 'd'}, {1h, 'h'}, {1min, 'm'}, {1s, 's'}}};
  auto unit = units.begin();
  while (length < unit->first) ++unit;
  auto made = std::to_string(length / unit->first) + unit->second;
  const auto rest = length % unit->first;
  if (++unit != units.end() && rest >= unit->first) made += " " + std::to_string(rest / unit->first) + unit->second;
  return made;
}

std::optional<wall_time> read_time(std::string_view text) {
  using namespace std::chrono;
  constexpr std::string_view pattern = "____-__-__T__:__:__.___Z";
  if (text.size() != pattern.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (pattern[i] != '_' && pattern[i] != text[i]) return std::nullopt;
  int y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0, ms = 0;
  if (!read_number(text, 0, 4, y) || !read_number(text, 5, 2, mo) || !read_number(text, 8, 2, d) ||
      !read_number(text, 11, 2, h) || !read_number(text, 14, 2, mi) || !read_number(text, 17, 2, s) ||
      !read_number(text, 20, 3, ms))
    return std::nullopt;
  const auto date = year{y} / mo / d;
  if (!date.ok() || h > 23 || mi > 59 || s > 60) return std::nullopt;
  return sys_days{date} + hours{h} + minutes{mi} + seconds{s} + milliseconds{ms};
}

std::string ago(wall_time then, wall_time now) { return now - then < 1s ? "just now" : span(now - then) + " ago"; }

std::string until(wall_time then, wall_time now) { return then <= now ? "now" : "in " + span(then - now); }

table::table(std::vector<column> columns) : columns_(std::move(columns)) {}

void table::add(const std::vector<std::string>& cells) {
  auto& row = rows_.emplace_back();
  for (const auto& cell : cells) row.push_back(printable(cell));
  row.resize(columns_.size());
}

std::string table::text() const {
  std::vector<std::size_t> widths;
  for (const auto& [title, side] : columns_) widths.push_back(width(title));
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  std::string made;
  const auto add_line = [&](auto cell_of) {
    std::string line;
    for (std::size_t i = 0; i < columns_.size(); ++i)
      line += (i > 0 ? "  " : "") + padded(cell_of(i), widths[i], columns_[i].side);
    line.erase(line.find_last_not_of(' ') + 1);
    made += line + "\n";
  };
  add_line([&](std::size_t i) { return columns_[i].title; });
  for (const auto& row : rows_) add_line([&](std::size_t i) { return row[i]; });
  return made;
}

} // namespace reseq::ctl

#include "reseq/store/postgres/server_message.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "reseq/store/postgres/pqxx_versions.hpp"

namespace reseq::store::postgres {

namespace {

/// Removes the last line if it begins with `label`, and answers the rest of it.
std::string take_last(std::string& text, std::string_view label) {
  const auto end = text.find_last_not_of('\n') + 1;
  const auto begin = text.rfind('\n', end - 1) + 1;
  const auto line = std::string_view(text).substr(begin, end - begin);
  if (!line.starts_with(label)) return {};
  std::string rest(line.substr(label.size()));
  text.erase(begin);
  return rest;
}

/// As a session that was told to `tell_more` shows it behind the severity; empty if it is none.
std::string state_in(std::string_view text) {
  constexpr std::size_t length = 5;
  const auto colon = text.substr(0, text.find('\n')).find(":  ");
  if (colon == std::string_view::npos) return {};
  const auto state = text.substr(colon + 3, length);
  const bool is_one =
    std::ranges::all_of(state, [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); });
  return is_one && text.substr(colon + 3 + state.size()).starts_with(": ") ? std::string(state) : std::string{};
}

} // namespace

server_message read_message(const std::exception& e) {
  server_message read;
  read.state = sqlstate_of(e);
  read.text = said_by(e);
  // libpqxx takes what begins with 08 for its own trouble, and 6.4 tells of what begins with 40 only that.
  if (read.state.empty() || read.state == "40000")
    if (auto shown = state_in(read.text); !shown.empty()) read.state = std::move(shown);
  // libpq's order, from the end: what is before may quote anything, and look like one of these lines.
  take_last(read.text, "LOCATION:  ");
  read.constraint = take_last(read.text, "CONSTRAINT NAME:  ");
  take_last(read.text, "DATATYPE NAME:  ");
  read.column = take_last(read.text, "COLUMN NAME:  ");
  read.table = take_last(read.text, "TABLE NAME:  ");
  read.schema = take_last(read.text, "SCHEMA NAME:  ");
  const auto state = read.state + ": ";
  const auto at = read.text.find(":  " + state);
  if (!read.state.empty() && at < read.text.find('\n')) read.text.erase(at + 3, state.size());
  return read;
}

bool refuses_data(const std::string& state) {
  constexpr std::array refusing{"21", "22", "23", "38", "44", "54", "P0"};
  return std::ranges::any_of(refusing, [&](const char* kind) { return state.starts_with(kind); });
}

bool lacks_partition(const server_message& said) {
  return said.state == "23514" && !said.table.empty() && said.constraint.empty();
}

} // namespace reseq::store::postgres

#include "reseq/config/toml.hpp"

#include <toml++/toml.h>

#include "reseq/config/forms.hpp"

namespace reseq::config {
namespace {

int line_of(const toml::source_region& region) { return static_cast<int>(region.begin.line); }

node convert(const toml::node& from);

table convert(const toml::table& from) {
  table members;
  members.reserve(from.size());
  for (const auto& [key, item] : from) {
    members.push_back({std::string(key.str()), convert(item)});
    members.back().item.line = line_of(key.source());
  }
  return members;
}

list convert(const toml::array& from) {
  list items;
  items.reserve(from.size());
  for (const auto& item : from) items.push_back(convert(item));
  return items;
}

node convert(const toml::node& from) {
  node to;
  to.line = line_of(from.source());
  if (const auto* t = from.as_table()) {
    to.value = convert(*t);
  } else if (const auto* a = from.as_array()) {
    to.value = convert(*a);
  } else if (const auto* s = from.as_string()) {
    to.value = s->get();
  } else if (const auto* b = from.as_boolean()) {
    to.value = b->get();
  } else if (const auto* i = from.as_integer()) {
    to.value = i->get();
  } else if (const auto* f = from.as_floating_point()) {
    to.value = f->get();
  } else {
    to.value = date{};
  }
  return to;
}

} // namespace

tl::expected<table, syntax_error> parse_toml(std::string_view text) {
  try {
    return convert(static_cast<const toml::table&>(toml::parse(text)));
  } catch (const toml::parse_error& e) {
    return tl::unexpected(syntax_error{line_of(e.source()), printable(e.description())});
  }
}

std::optional<node> parse_toml_value(std::string_view text) {
  auto document = parse_toml("value = " + std::string(text));
  // A line break in the text could bring further keys in.
  if (!document || document->size() != 1) return {};
  return std::move(document->front().item);
}

} // namespace reseq::config

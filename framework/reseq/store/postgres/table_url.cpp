#include "reseq/store/postgres/table_url.hpp"

#include <algorithm>

namespace reseq::store::postgres {

namespace {

constexpr std::size_t longest_name = 63; // PostgreSQL cuts off the rest

bool is_identifier(std::string_view text) {
  return !text.empty() && text.size() <= longest_name && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

result<void> read_name(std::string_view name, table_url& into) {
  const auto dot = name.find('.');
  const auto schema = dot == std::string_view::npos ? std::string_view{} : name.substr(0, dot);
  const auto table = dot == std::string_view::npos ? name : name.substr(dot + 1);
  if (!is_identifier(table) || (dot != std::string_view::npos && !is_identifier(schema)))
    return fail(errc::invalid, "table is not a table's name, as in ?table=orders or ?table=sales.orders, of letters, "
                               "digits, '_' and '-'");
  into.names_schema = !schema.empty();
  if (into.names_schema) into.schema = std::string(schema);
  into.table = std::string(table);
  return {};
}

} // namespace

std::string table_url::quoted() const { return "\"" + schema + "\".\"" + table + "\""; }

result<table_url> parse_table_url(std::string_view text) {
  constexpr std::string_view key = "table=";
  table_url read;
  const auto question = std::min(text.find('?'), text.size());
  read.server = std::string(text.substr(0, question));
  auto rest = text.substr(std::min(question + 1, text.size()));
  char before = '?';
  while (!rest.empty()) {
    const auto one = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(one.size() + 1, rest.size()));
    if (one.starts_with(key)) {
      if (auto named = read_name(one.substr(key.size()), read); !named) return tl::unexpected(named.error());
    } else {
      read.server += before + std::string(one);
      before = '&';
    }
  }
  if (read.table.empty()) return fail(errc::invalid, "the URL names no table, as in postgresql://host/db?table=orders");
  return read;
}

} // namespace reseq::store::postgres

#include "reseq/config/rules.hpp"

#include <cmath>
#include <sstream>

namespace reseq::config {
namespace {

tl::unexpected<std::string> wrong_type(const std::string& wanted, const node& from) {
  return tl::unexpected("must be " + wanted + ", not " + kind_of(from));
}

/// Values with a unit are strings; a bare number is the usual mistake.
template <class V>
reading<V> read_quantity(const node& from, const std::string& example, result<V> (*parse)(std::string_view)) {
  if (from.as<std::int64_t>() || from.as<double>()) {
    return tl::unexpected("needs a unit, for example " + in_quotes(example));
  }
  const auto* written = from.as<std::string>();
  if (!written) return wrong_type("a string with a unit, for example " + in_quotes(example), from);
  return parse(*written).map_error([](const error& e) { return e.what; });
}

} // namespace

reading<std::string> read_text(const node& from) {
  if (const auto* s = from.as<std::string>()) return *s;
  return wrong_type("a string", from);
}

reading<bool> read_boolean(const node& from) {
  if (const auto* b = from.as<bool>()) return *b;
  return wrong_type("true or false", from);
}

reading<double> read_number(const node& from) {
  if (const auto* i = from.as<std::int64_t>()) return static_cast<double>(*i);
  const auto* d = from.as<double>();
  if (!d) return wrong_type("a number", from);
  if (!std::isfinite(*d)) return tl::unexpected<std::string>("must be a finite number");
  return *d;
}

reading<std::int64_t> read_whole(const node& from) {
  if (const auto* i = from.as<std::int64_t>()) return *i;
  return wrong_type("an integer", from);
}

reading<duration> read_duration(const node& from) { return read_quantity<duration>(from, "750ms", parse_duration); }

reading<std::uint64_t> read_size(const node& from) { return read_quantity<std::uint64_t>(from, "16MiB", parse_size); }

reading<std::vector<std::string>> read_texts(const node& from) {
  const auto* items = from.as<list>();
  if (!items) return wrong_type("a list of strings", from);
  std::vector<std::string> read;
  for (const auto& item : *items) {
    const auto* s = item.as<std::string>();
    if (!s) return tl::unexpected("must be a list of strings, but holds " + kind_of(item));
    read.push_back(*s);
  }
  return read;
}

reading<std::map<std::string, std::string>> read_headers(const node& from) {
  const auto* members = from.as<table>();
  if (!members) return wrong_type("a table, for example { \"ce-type\" = \"order.*\" }", from);
  std::map<std::string, std::string> read;
  for (const auto& [name, item] : *members) {
    const auto* glob = item.as<std::string>();
    if (!glob) return tl::unexpected(in_quotes(name) + " must be a string, not " + kind_of(item));
    if (auto wrong = check_header_name(name)) return tl::unexpected(*wrong);
    read.emplace(name, *glob);
  }
  return read;
}

std::string shown_word(const std::string& word) {
  return word.find("://") == std::string::npos && word.find('@') == std::string::npos ? in_quotes(word) : "a URL";
}

std::string show_number(double value) {
  std::ostringstream shown;
  shown << value;
  return shown.str();
}

} // namespace reseq::config

/// What a key takes: reading a TOML value into a field of `T`, with bounds, and saying what is wrong. Each
/// function makes the rule for one type of key; `options.cpp` puts them into the table.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

#include "reseq/config/forms.hpp"
#include "reseq/config/tree.hpp"
#include "reseq/config/units.hpp"

namespace reseq::config {

/// How text from the command line or the environment becomes a value.
enum class shape {
  text,  ///< as it is
  items, ///< a TOML list, or else "a,b"
  other, ///< TOML, or else a string
};

template <class T>
struct rule {
  std::string type; ///< for people: "duration, 100ms to 1h"
  shape form = shape::other;
  bool required = false; ///< there is no default; the reference shows an example
  std::string missing;   ///< why this version takes the default only; empty: it takes any
  /// Takes also what it complains of, if it could be read: there is more to say about it. Empty with `missing`.
  std::function<complaint(T&, const node&)> set;
  std::function<complaint(const T&)> check; ///< of the value that is there; empty with `missing`
};

/// A value read from a node, or what is wrong with it.
template <class V>
using reading = tl::expected<V, std::string>;

template <class V>
using reader_of = std::function<reading<V>(const node&)>;
template <class V>
using check_of = std::function<complaint(const V&)>;

reading<std::string> read_text(const node& from);
reading<bool> read_boolean(const node& from);
reading<double> read_number(const node& from);
reading<std::int64_t> read_whole(const node& from);
reading<duration> read_duration(const node& from);
reading<std::uint64_t> read_size(const node& from);
reading<std::vector<std::string>> read_texts(const node& from);
reading<std::map<std::string, std::string>> read_headers(const node& from);

/// "0s is below 100ms", "8 is above 7", or nothing.
template <class V, class Show>
complaint outside(const V& value, const V& low, const V& high, Show show) {
  if (value < low) return show(value) + " is below " + show(low);
  if (value > high) return show(value) + " is above " + show(high);
  return {};
}

/// `word` in quotes; a URL, which may hold a password and was meant for another key, is not shown.
std::string shown_word(const std::string& word);

/// 2.5 as "2.5", 100.0 as "100".
std::string show_number(double value);

/// How rules reach a field of `T`, or of a part of it.
template <class T, class V>
struct field {
  std::function<V&(T&)> write;
  std::function<const V&(const T&)> read;
};

template <class T, class V>
field<T, V> at(V T::*inside) {
  return {[inside](T& target) -> V& { return target.*inside; },
          [inside](const T& target) -> const V& { return target.*inside; }};
}

template <class T, class Part, class V>
field<T, V> at(Part T::*part, V Part::*inside) {
  return {[part, inside](T& target) -> V& { return (target.*part).*inside; },
          [part, inside](const T& target) -> const V& { return (target.*part).*inside; }};
}

template <class T, class V>
rule<T> make_rule(const field<T, V>& where, const std::string& type, shape form,
                  std::type_identity_t<reader_of<V>> read, std::type_identity_t<check_of<V>> check) {
  rule<T> made;
  made.type = type;
  made.form = form;
  made.check = [where, check](const T& target) { return check(where.read(target)); };
  made.set = [where, read = std::move(read), check = std::move(check)](T& target, const node& from) -> complaint {
    auto value = read(from);
    if (!value) return std::move(value).error();
    auto wrong = check(*value);
    where.write(target) = std::move(*value);
    return wrong;
  };
  return made;
}

/// A string that `check` accepts; `type` says to people which ones.
template <class T>
rule<T> text(const field<T, std::string>& where, const std::string& type, check_of<std::string> check) {
  return make_rule(where, type, shape::text, read_text, std::move(check));
}

template <class T>
rule<T> texts(const field<T, std::vector<std::string>>& where, const std::string& type,
              const check_of<std::string>& check_each) {
  const auto check_all = [check_each](const std::vector<std::string>& all) -> complaint {
    for (const auto& one : all) {
      if (auto wrong = check_each(one)) return wrong;
    }
    return {};
  };
  return make_rule(where, type, shape::items, read_texts, check_all);
}

template <class T>
rule<T> boolean(const field<T, bool>& where) {
  return make_rule(where, "boolean", shape::other, read_boolean, [](bool) { return complaint{}; });
}

template <class T>
rule<T> span(const field<T, duration>& where, duration low, duration high) {
  const auto check = [low, high](const duration& value) { return outside(value, low, high, format_duration); };
  return make_rule(where, "duration, " + format_duration(low) + " to " + format_duration(high), shape::other,
                   read_duration, check);
}

template <class T>
rule<T> size(const field<T, std::uint64_t>& where, std::uint64_t low, std::uint64_t high) {
  const auto check = [low, high](const std::uint64_t& value) { return outside(value, low, high, format_size); };
  return make_rule(where, "size, " + format_size(low) + " to " + format_size(high), shape::other, read_size, check);
}

template <class T>
rule<T> number(const field<T, double>& where, double low, double high) {
  const auto check = [low, high](const double& value) { return outside(value, low, high, show_number); };
  return make_rule(where, "number, " + show_number(low) + " to " + show_number(high), shape::other, read_number, check);
}

/// An integer from `low` to `high`; `high` fits the field, which may be narrower than TOML's 64 bits.
template <class T, std::unsigned_integral V>
rule<T> whole(const field<T, V>& where, std::type_identity_t<V> low, std::type_identity_t<V> high) {
  const auto show = [](auto value) { return std::to_string(value); };
  const auto read = [low, high, show](const node& from) -> reading<V> {
    const auto value = read_whole(from);
    if (!value) return tl::unexpected(value.error());
    const auto wrong = outside(*value, static_cast<std::int64_t>(low), static_cast<std::int64_t>(high), show);
    if (wrong) return tl::unexpected(*wrong);
    return static_cast<V>(*value);
  };
  const auto check = [low, high, show](const V& value) { return outside(value, low, high, show); };
  return make_rule(where, "integer, " + show(low) + " to " + show(high), shape::other, read, check);
}

template <class T>
rule<T> headers(const field<T, std::map<std::string, std::string>>& where) {
  return make_rule(where, "table of header = \"glob\"", shape::other, read_headers,
                   [](const auto&) { return complaint{}; });
}

/// One of a few words, each with what it means in the field. Words in `later` are for versions to come.
template <class T, class V>
rule<T> choice(const field<T, V>& where, std::type_identity_t<std::vector<std::pair<std::string, V>>> words,
               const std::vector<std::string>& later = {}) {
  std::string known;
  for (const auto& [word, meaning] : words) known += (known.empty() ? "" : ", ") + in_quotes(word);
  const auto read = [words, later, known](const node& from) -> reading<V> {
    const auto word = read_text(from);
    if (!word) return tl::unexpected(word.error());
    for (const auto& [name, meaning] : words) {
      if (name == *word) return meaning;
    }
    for (const auto& name : later) {
      if (name == *word) return tl::unexpected(in_quotes(name) + " is not available in this version");
    }
    return tl::unexpected(shown_word(*word) + " is not one of " + known);
  };
  return make_rule(where, "one of " + known, shape::text, read, [](const V&) { return complaint{}; });
}

/// A key that has no default.
template <class T>
rule<T> required(rule<T> made) {
  made.required = true;
  return made;
}

/// A key that this version does not act on: anything but its default is refused. `why` may add a reason.
template <class T>
rule<T> later(const std::string& type, shape form = shape::other, const std::string& why = {}) {
  rule<T> made;
  made.type = type;
  made.form = form;
  made.missing = "is not available in this version" + (why.empty() ? "" : ": " + why);
  return made;
}

} // namespace reseq::config

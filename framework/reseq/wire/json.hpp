/// Strict, bounded JSON (RFC 8259): reading a text piece by piece without changing the numbers and escapes that a
/// producer wrote, and writing strings.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "reseq/model/error.hpp"

namespace reseq::wire::json {

/// Objects and arrays may lie in each other this deep; a text that goes deeper is refused.
constexpr unsigned max_depth = 64;

/// Whether the bytes are UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool valid_utf8(std::string_view bytes);

/// Appends `text` as a JSON string on one line. Bytes that are not UTF-8 are taken as Latin-1, all of them, so that
/// the outcome is always JSON.
void append_string(std::string& out, std::string_view text);

/// Whether `text` is exactly one JSON value, no deeper than `max_depth`, without insignificant white space.
bool is_compact(std::string_view text);

/// Whether `c` is white space between the tokens of a text.
constexpr bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/// Reads one JSON text from front to back. What is not JSON gives `errc::invalid` with the column, in bytes from 1;
/// after an error the reader is of no use any more. The text must outlive the reader.
class reader {
public:
  explicit reader(std::string_view text) : text_(text) {}

  /// Skips white space and tells the next character without taking it; NUL at the end.
  char peek();

  /// A string, unescaped: always UTF-8.
  result<std::string> string();

  /// A value of any kind, as it was written but without insignificant white space.
  result<std::string> value();

  /// Passes over a value of any kind.
  result<void> skip_value();

  /// An object: calls `on_member(name)`, which must read the member's value and return a `result<void>`; its error
  /// ends the reading. Names may come twice: who minds has to look.
  template <class OnMember>
  result<void> object(OnMember on_member);

  /// An array: calls `on_element()`, which must read one value and return a `result<void>`.
  template <class OnElement>
  result<void> array(OnElement on_element);

  /// Nothing may follow but white space.
  result<void> end();

  /// Whether insignificant white space was seen so far.
  [[nodiscard]] bool saw_space() const { return saw_space_; }

private:
  // What returns false has said why: `fault` makes an error of that.
  bool enter(char bracket);
  bool leave(char bracket);
  bool take(char expected);
  bool expect(char expected);
  bool in_quotes(std::string_view& raw);
  bool escape();
  bool skip();
  bool skip_name();
  bool skip_scalar(char begins);
  bool number();
  bool literal();
  bool digits();
  char peek_behind_space();
  bool wrong(std::string what);
  tl::unexpected<error> fault();

  std::string_view text_;
  std::size_t at_ = 0;
  unsigned depth_ = 0;
  bool saw_space_ = false;
  std::string wrong_;
};

inline char reader::peek() {
  if (at_ < text_.size() && !is_space(text_[at_])) return text_[at_]; // as nearly always
  return peek_behind_space();
}

inline bool reader::take(char expected) {
  if (peek() != expected || at_ == text_.size()) return false;
  ++at_;
  return true;
}

template <class OnMember>
result<void> reader::object(OnMember on_member) {
  if (!enter('{')) return fault();
  if (peek() != '}') {
    do {
      auto name = string();
      if (!name) return tl::unexpected(std::move(name.error()));
      if (!expect(':')) return fault();
      if (auto read = on_member(std::move(*name)); !read) return read;
    } while (take(','));
  }
  if (!leave('}')) return fault();
  return {};
}

template <class OnElement>
result<void> reader::array(OnElement on_element) {
  if (!enter('[')) return fault();
  if (peek() != ']') {
    do {
      if (auto read = on_element(); !read) return read;
    } while (take(','));
  }
  if (!leave(']')) return fault();
  return {};
}

} // namespace reseq::wire::json

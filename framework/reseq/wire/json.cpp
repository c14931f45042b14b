#include "reseq/wire/json.hpp"

#include <bit>
#include <cstdint>
#include <cstring>

namespace reseq::wire::json {
namespace {

std::uint8_t byte(char c) { return static_cast<std::uint8_t>(c); }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

constexpr std::uint64_t in_each_byte(std::uint8_t value) { return value * std::uint64_t{0x0101010101010101}; }

std::uint64_t eight_bytes(const char* from) {
  std::uint64_t eight = 0;
  std::memcpy(&eight, from, sizeof eight);
  return eight;
}

/// Not 0 when one of eight bytes is below `bound`, which is at most 0x80.
constexpr std::uint64_t any_below(std::uint64_t eight, std::uint8_t bound) {
  return (eight - in_each_byte(bound)) & ~eight & in_each_byte(0x80);
}

bool is_plain(char c) { return byte(c) >= 0x20 && c != '"' && c != '\\'; }

/// How many bytes at the front of `text` a string in quotes holds as they are. Bits of `seen` are set that one of them
/// has, so that its highest tells whether all are ASCII.
std::size_t plain_length(std::string_view text, std::uint64_t& seen) {
  std::size_t at = 0;
  for (; at + 8 <= text.size(); at += 8) {
    const auto eight = eight_bytes(text.data() + at);
    const auto special =
      any_below(eight, 0x20) | any_below(eight ^ in_each_byte('"'), 1) | any_below(eight ^ in_each_byte('\\'), 1);
    if (special != 0) {
      if constexpr (std::endian::native != std::endian::little) break;
      const auto before = static_cast<unsigned>(std::countr_zero(special)) / 8; // what carries is above the first
      seen |= eight & ((std::uint64_t{1} << 8 * before) - 1);
      return at + before;
    }
    seen |= eight;
  }
  for (; at < text.size() && is_plain(text[at]); ++at) seen |= byte(text[at]);
  return at;
}

/// How many bytes at the front of `text` are ASCII.
std::size_t ascii_length(std::string_view text) {
  std::size_t at = 0;
  while (at + 8 <= text.size() && (eight_bytes(text.data() + at) & in_each_byte(0x80)) == 0) at += 8;
  while (at < text.size() && byte(text[at]) < 0x80) ++at;
  return at;
}

/// Length of the UTF-8 sequence at the front of `bytes` that begins with a byte from 0x80 up, or 0 if it is none.
std::size_t sequence_length(std::string_view bytes) {
  const auto lead = byte(bytes[0]);
  const std::size_t length = lead >= 0xc2 && lead <= 0xdf   ? 2
                             : lead >> 4U == 0xe            ? 3
                             : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                            : 0;
  if (length == 0 || bytes.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(bytes[i]) & 0xc0U) != 0x80) return 0;
  }
  const auto second = byte(bytes[1]);
  const bool overlong = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
  const bool beyond = (lead == 0xed && second > 0x9f) || (lead == 0xf4 && second > 0x8f);
  return overlong || beyond ? 0 : length;
}

void append_utf8(std::string& out, std::uint32_t code) {
  const auto put = [&](std::uint32_t bits) { out += static_cast<char>(bits); };
  const auto tail = [&](unsigned shift) { put(0x80U | (code >> shift & 0x3fU)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0U | code >> 6U);
    tail(0);
  } else if (code < 0x10000) {
    put(0xe0U | code >> 12U);
    tail(6);
    tail(0);
  } else {
    put(0xf0U | code >> 18U);
    tail(12);
    tail(6);
    tail(0);
  }
}

void append_escaped(std::string& out, char c) {
  constexpr std::string_view hex = "0123456789abcdef";
  switch (c) {
  case '"': out += "\\\""; return;
  case '\\': out += "\\\\"; return;
  case '\n': out += "\\n"; return;
  case '\r': out += "\\r"; return;
  case '\t': out += "\\t"; return;
  default:
    out += "\\u00";
    out += hex[byte(c) >> 4U];
    out += hex[byte(c) & 15U];
  }
}

constexpr std::uint32_t no_code = ~0U;

/// The number that the first four characters write in hexadecimal, or `no_code`.
std::uint32_t hex4(std::string_view text) {
  if (text.size() < 4) return no_code;
  std::uint32_t code = 0;
  for (const char c : text.substr(0, 4)) {
    const char low = static_cast<char>(c | 0x20);
    if (is_digit(c)) {
      code = code * 16 + static_cast<std::uint32_t>(c - '0');
    } else if (low >= 'a' && low <= 'f') {
      code = code * 16 + static_cast<std::uint32_t>(low - 'a' + 10);
    } else {
      return no_code;
    }
  }
  return code;
}

bool is_high_surrogate(std::uint32_t code) { return code >= 0xd800 && code <= 0xdbff; }
bool is_low_surrogate(std::uint32_t code) { return code >= 0xdc00 && code <= 0xdfff; }

/// The text of a string whose escapes have been checked, without its quotes.
std::string unescaped(std::string_view raw) {
  std::string out;
  out.reserve(raw.size());
  while (!raw.empty()) {
    const auto plain = raw.substr(0, raw.find('\\'));
    out += plain;
    raw.remove_prefix(plain.size());
    if (raw.empty()) break;
    const char kind = raw[1];
    raw.remove_prefix(2);
    if (kind != 'u') {
      constexpr std::string_view names = "bfnrt";
      const auto named = names.find(kind);
      out += named == std::string_view::npos ? kind : "\b\f\n\r\t"[named];
      continue;
    }
    auto code = hex4(raw);
    raw.remove_prefix(4);
    if (is_high_surrogate(code)) {
      code = 0x10000 + ((code - 0xd800) << 10U) + (hex4(raw.substr(2)) - 0xdc00);
      raw.remove_prefix(6);
    }
    append_utf8(out, code);
  }
  return out;
}

std::string without_space(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool inside = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (inside && c == '\\') {
      out += c;
      out += text[++i];
      continue;
    }
    if (c == '"') inside = !inside;
    if (inside || !is_space(c)) out += c;
  }
  return out;
}

} // namespace

bool valid_utf8(std::string_view bytes) {
  for (;;) {
    bytes.remove_prefix(ascii_length(bytes));
    if (bytes.empty()) return true;
    const auto length = sequence_length(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
}

void append_string(std::string& out, std::string_view text) {
  const bool utf8 = valid_utf8(text);
  std::uint64_t seen = 0;
  out.reserve(out.size() + text.size() + 2);
  out += '"';
  while (!text.empty()) {
    if (const auto plain = utf8 ? plain_length(text, seen) : 0; plain > 0) {
      out += text.substr(0, plain);
      text.remove_prefix(plain);
      continue;
    }
    const char c = text.front();
    text.remove_prefix(1);
    if (!is_plain(c)) {
      append_escaped(out, c);
    } else {
      append_utf8(out, byte(c));
    }
  }
  out += '"';
}

bool is_compact(std::string_view text) {
  reader in(text);
  return in.skip_value().has_value() && in.end().has_value() && !in.saw_space();
}

result<std::string> reader::string() {
  std::string_view raw;
  if (!in_quotes(raw)) return fault();
  return unescaped(raw);
}

result<std::string> reader::value() {
  peek();
  const auto begin = at_;
  const bool spaced = saw_space_;
  saw_space_ = false;
  if (!skip()) return fault();
  const auto written = text_.substr(begin, at_ - begin);
  auto compact = saw_space_ ? without_space(written) : std::string{written};
  saw_space_ = saw_space_ || spaced;
  return compact;
}

result<void> reader::skip_value() {
  if (!skip()) return fault();
  return {};
}

result<void> reader::end() {
  peek();
  if (at_ == text_.size()) return {};
  wrong("something follows the end of the value");
  return fault();
}

/// A value of any kind.
bool reader::skip() {
  static_assert(max_depth <= 64);
  std::uint64_t objects = 0; // a bit for each bracket that is open, the innermost lowest: whether an object's
  const auto around = depth_;
  const auto closing = [&] { return (objects & 1U) != 0 ? '}' : ']'; };
  const auto more = [&] { return (objects & 1U) == 0 || skip_name(); }; // another value comes
  for (;;) {
    const char begins = peek();
    if (begins == '{' || begins == '[') {
      if (!enter(begins)) return false;
      objects = objects << 1U | (begins == '{' ? 1U : 0U);
      if (peek() != closing()) {
        if (!more()) return false;
        continue;
      }
    } else if (!skip_scalar(begins)) {
      return false;
    }
    while (depth_ > around && !take(',')) {
      if (!leave(closing())) return false;
      objects >>= 1U;
    }
    if (depth_ == around) return true;
    if (!more()) return false;
  }
}

bool reader::skip_name() {
  std::string_view name;
  return in_quotes(name) && expect(':');
}

bool reader::skip_scalar(char begins) {
  std::string_view raw;
  switch (begins) {
  case '"': return in_quotes(raw);
  case 't':
  case 'f':
  case 'n': return literal();
  default: return number();
  }
}

char reader::peek_behind_space() {
  const auto begin = at_;
  while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  if (at_ != begin) saw_space_ = true;
  return at_ < text_.size() ? text_[at_] : '\0';
}

bool reader::enter(char bracket) {
  if (!expect(bracket)) return false;
  if (depth_ == max_depth) return wrong("nested deeper than " + std::to_string(max_depth));
  ++depth_;
  return true;
}

bool reader::leave(char bracket) {
  if (!expect(bracket)) return false;
  --depth_;
  return true;
}

bool reader::expect(char expected) {
  if (take(expected)) return true;
  if (at_ == text_.size()) return wrong(std::string{"ends where '"} + expected + "' is expected");
  return wrong(std::string{"expected '"} + expected + "'");
}

/// A string as it was written, checked, without its quotes.
bool reader::in_quotes(std::string_view& raw) {
  if (!take('"')) return wrong(at_ == text_.size() ? "ends where a string is expected" : "expected a string");
  const auto begin = at_;
  std::uint64_t seen = 0;
  for (;;) {
    at_ += plain_length(text_.substr(at_), seen);
    if (at_ == text_.size() || text_[at_] == '"') break;
    if (byte(text_[at_]) < 0x20) return wrong("a control character in a string must be escaped");
    if (!escape()) return false;
  }
  if (at_ == text_.size()) return wrong("the string does not end");
  raw = text_.substr(begin, at_ - begin);
  if ((seen & in_each_byte(0x80)) != 0 && !valid_utf8(raw)) return wrong("the string is not UTF-8");
  ++at_;
  return true;
}

bool reader::escape() {
  const auto rest = text_.substr(at_);
  if (rest.size() < 2 || std::string_view{"\"\\/bfnrtu"}.find(rest[1]) == std::string_view::npos) {
    return wrong("no such escape in a string");
  }
  if (rest[1] != 'u') {
    at_ += 2;
    return true;
  }
  const auto code = hex4(rest.substr(2));
  if (code == no_code) return wrong("\\u needs four hexadecimal digits");
  at_ += 6;
  if (is_low_surrogate(code)) return wrong("half of a surrogate pair");
  if (!is_high_surrogate(code)) return true;
  const auto second = text_.substr(at_);
  if (!second.starts_with("\\u") || !is_low_surrogate(hex4(second.substr(2)))) return wrong("half of a surrogate pair");
  at_ += 6;
  return true;
}

bool reader::digits() {
  const auto begin = at_;
  while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
  return at_ > begin;
}

bool reader::number() {
  const auto next = [this] { return at_ < text_.size() ? text_[at_] : '\0'; };
  if (at_ == text_.size()) return wrong("ends where a value is expected");
  const bool negative = next() == '-';
  if (negative) ++at_;
  if (!is_digit(next())) return wrong(negative ? "expected a digit" : "expected a value");
  if (next() == '0') {
    ++at_;
    if (is_digit(next())) return wrong("a number must not begin with 0");
  }
  digits();
  if (next() == '.') {
    ++at_;
    if (!digits()) return wrong("expected a digit");
  }
  if (next() == 'e' || next() == 'E') {
    ++at_;
    if (next() == '+' || next() == '-') ++at_;
    if (!digits()) return wrong("expected a digit");
  }
  return true;
}

bool reader::literal() {
  for (const std::string_view word : {"true", "false", "null"}) {
    if (!text_.substr(at_).starts_with(word)) continue;
    at_ += word.size();
    return true;
  }
  return wrong("expected a value");
}

bool reader::wrong(std::string what) {
  wrong_ = std::move(what);
  return false;
}

tl::unexpected<error> reader::fault() {
  return fail(errc::invalid, std::move(wrong_) + ", at column " + std::to_string(at_ + 1));
}

} // namespace reseq::wire::json

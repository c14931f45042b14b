#include "reseq/wire/json.hpp"

#include <random>

#include <nlohmann/json.hpp>

#include "catch.hpp"

using namespace reseq;
using namespace reseq::wire;

namespace {

result<std::string> compact(std::string_view text) {
  json::reader in(text);
  auto value = in.value();
  if (!value) return value;
  if (auto ended = in.end(); !ended) return tl::unexpected(ended.error());
  return value;
}

std::string written(std::string_view text) {
  std::string out;
  json::append_string(out, text);
  return out;
}

std::string brackets(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

} // namespace

TEST_CASE("a value keeps its numbers and escapes and loses only insignificant white space") {
  struct row {
    std::string text;
    std::string wanted;
  };
  const auto [text, wanted] = GENERATE(values<row>({
    {"1", "1"},
    {" 1.0 ", "1.0"},
    {"-0", "-0"},
    {"1E+2", "1E+2"},
    {"123456789012345678901234567890", "123456789012345678901234567890"},
    {"0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"},
    {"{ \"b\" : 1 ,\t\"a\":[ ] , \"b\" : { } }", R"({"b":1,"a":[],"b":{}})"},
    {R"( " a \" b \\" )", R"(" a \" b \\")"},
    {R"([ "\u0041\/" , "é" , "\ud83d\ude00" ])", R"(["\u0041\/","é","\ud83d\ude00"])"},
    {"[\r\ntrue , false,null ]", "[true,false,null]"},
  }));
  CHECK(compact(text).value() == wanted);
}

TEST_CASE("what is not JSON is refused with its column") {
  struct row {
    std::string text;
    std::string what;
  };
  const auto [text, what] = GENERATE(values<row>({
    {"", "ends where a value is expected, at column 1"},
    {"[1,]", "expected a value, at column 4"},
    {"[1", "ends where ']' is expected, at column 3"},
    {"{\"a\"}", "expected ':', at column 5"},
    {"{a:1}", "expected a string, at column 2"},
    {"{\"a\":1,}", "expected a string, at column 8"},
    {"[1}", "expected ']', at column 3"},
    {R"({"a":1])", "expected '}', at column 7"},
    {R"([{"a":[]},{]])", "expected a string, at column 12"},
    {R"([{"a":[[]]},[}])", "expected a value, at column 14"},
    {"[1,]", "expected a value, at column 4"},
    {"1 2", "something follows the end of the value, at column 3"},
    {"01", "a number must not begin with 0, at column 2"},
    {"-", "expected a digit, at column 2"},
    {"1.", "expected a digit, at column 3"},
    {"1e", "expected a digit, at column 3"},
    {"+1", "expected a value, at column 1"},
    {"NaN", "expected a value, at column 1"},
    {"nul", "expected a value, at column 1"},
    {"'a'", "expected a value, at column 1"},
    {"\"a", "the string does not end, at column 3"},
    {"\"a\\", "no such escape in a string, at column 3"},
    {"\"\\x\"", "no such escape in a string, at column 2"},
    {"\"\\u12g4\"", "\\u needs four hexadecimal digits, at column 2"},
    {"\"\\u12", "\\u needs four hexadecimal digits, at column 2"},
    {R"("\ud800")", "half of a surrogate pair, at column 8"},
    {R"("\ud800\u0041")", "half of a surrogate pair, at column 8"},
    {R"("\udc00")", "half of a surrogate pair, at column 8"},
    {"\"a\tb\"", "a control character in a string must be escaped, at column 3"},
    {"\"\xff\"", "the string is not UTF-8, at column 3"},
    {"\"\xc0\x80\"", "the string is not UTF-8, at column 4"},
    {std::string("\0", 1), "expected a value, at column 1"},
    {std::string("[\0]", 3), "expected a value, at column 2"},
    {std::string("[1\0", 3), "expected ']', at column 3"},
    {"\xef\xbb\xbf{}", "expected a value, at column 1"},
  }));
  CAPTURE(text);
  const auto read = compact(text);
  REQUIRE_FALSE(read);
  CHECK(read.error().code == errc::invalid);
  CHECK(read.error().what == what);
}

TEST_CASE("depth is bounded, however long the text is") {
  CHECK(compact(brackets(json::max_depth)).has_value());
  const auto read = compact(brackets(json::max_depth + 1));
  REQUIRE_FALSE(read);
  CHECK(read.error().what == "nested deeper than 64, at column 66");
  CHECK_FALSE(compact(std::string(std::size_t{1} << 24, '[')).has_value());
}

TEST_CASE("a text of any depth ends with the brackets that it began with, each in its place") {
  std::string opened;
  std::string closed;
  for (unsigned i = 0; i < json::max_depth; ++i) {
    const bool object = i % 3 != 0;
    opened += object ? R"({"a":)" : "[";
    closed.insert(0, 1, object ? '}' : ']');
    CHECK(json::is_compact(opened + "0" + closed));
    auto swapped = closed;
    swapped.back() = swapped.back() == '}' ? ']' : '}';
    CHECK_FALSE(json::is_compact(opened + "0" + swapped));
    swapped = closed;
    swapped.front() = swapped.front() == '}' ? ']' : '}';
    CHECK_FALSE(json::is_compact(opened + "0" + swapped));
  }
  CHECK_FALSE(json::is_compact(opened + "[]" + closed));
}

TEST_CASE("a text is compact when it is one value without insignificant white space") {
  CHECK(json::is_compact(R"({"a b":[1,"c d"]})"));
  CHECK_FALSE(json::is_compact(R"({"a": 1})"));
  CHECK_FALSE(json::is_compact("1\n"));
  CHECK_FALSE(json::is_compact(" 1"));
  CHECK_FALSE(json::is_compact("1,"));
  CHECK_FALSE(json::is_compact(""));
}

TEST_CASE("UTF-8 is told from what only looks like it") {
  const std::string good = GENERATE(as<std::string>{}, "", "a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                                    "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf");
  CHECK(json::valid_utf8(good));
  CHECK(json::valid_utf8("x" + good + "y"));
  const std::string bad =
    GENERATE(as<std::string>{}, "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xe1\x80",
             "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf1\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff");
  CHECK_FALSE(json::valid_utf8(bad));
  CHECK_FALSE(json::valid_utf8("x" + bad));
}

TEST_CASE("a string is written on one line and read back") {
  CHECK(written("a\"b\\c\n\r\t\x01\x7f") == "\"a\\\"b\\\\c\\n\\r\\t\\u0001\x7f\"");
  CHECK(written(std::string("\0", 1)) == R"("\u0000")");
  CHECK(written("é😀") == "\"é😀\"");
  CHECK(written("caf\xe9") == "\"café\"");
  const auto text = written("é\n\"\\\b\f/😀");
  CHECK(json::reader(text).string().value() == "é\n\"\\\b\f/😀");
  CHECK(json::reader(R"("\u0041\u00e9\u20ac\ud83d\uDE00\b\f\n\r\t\/\"\\")").string().value() == "Aé€😀\b\f\n\r\t/\"\\");
}

TEST_CASE("random texts are JSON here exactly when another parser says so") {
  std::mt19937 random(11);
  const std::vector<std::string> pieces = {"{",   "}",    "[",       "]",       ",", ":",    "\"",   "\"a\"", "1",
                                           "-",   "0",    ".5",      "e3",      " ", "\n",   "true", "null",  "\\",
                                           "\\u", "00e9", "\\ud83d", "\\ude00", "é", "\xc3", "\x01"};
  for (int round = 0; round < 200'000; ++round) {
    std::string text;
    for (auto length = random() % 7; length > 0; --length) text += pieces[random() % pieces.size()];
    const bool theirs = nlohmann::json::accept(text);
    const bool ours = compact(text).has_value();
    if (ours == theirs) continue;
    CAPTURE(text);
    CHECK(ours == theirs);
  }
}

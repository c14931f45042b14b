#include "reseq/store/codec.hpp"

#include "reseq/store/postgres/readable.hpp"
#include "reseq/wire/json.hpp"
#include "targets.hpp"

namespace reseq::fuzz {
namespace {

using namespace store;

/// What a column holds reads back from how it is written; a damaged one is read somehow, and does no harm.
void run_columns(std::string_view input) {
  const auto headers = decode_headers(input);
  require(decode_headers(encode_headers(headers)) == headers, "headers read back");
  const auto enrolled = decode_enrolled(input);
  require(decode_enrolled(encode_enrolled(enrolled)) == enrolled, "enrolments read back");
  const auto sequences = decode_sequences(input);
  require(decode_sequences(encode_sequences(sequences)) == sequences, "sequences read back");
  const auto positions = decode_positions(input);
  require(decode_positions(encode_positions(positions)) == positions, "positions read back");
  static_cast<void>(reason_of(input));
  const id_keys keys({1, 2});
  require(keys(input) == keys(std::string(input)), "an id has one key");
}

void run_readable(std::string_view input) {
  static_cast<void>(postgres::from_readable(input));
  static_cast<void>(postgres::from_hex(input));
  const auto text = postgres::to_readable(input);
  require(wire::json::valid_utf8(text) && text.find('\0') == std::string::npos, "PostgreSQL takes the text");
  require(postgres::from_readable(text) == input, "bytes read back from their text");
}

} // namespace

std::vector<target> store_targets() {
  return {
    {"columns",
     run_columns,
     {"name: value\nother\\: x: a\\nb\\\\\n", "1:17 4:20", "18 21", std::string("\x01\x80\x01\xff\xff\x03", 6),
      "0190a5d4-1c2f-7000-8000-000000000001", "refused"}},
    {"readable",
     run_readable,
     {"plain", "a\\b\\x41", "\xc3\xa9\xff\xed\xa0\x80", "\\x00ff7g", std::string("\0\xf0\x90", 3)}},
  };
}

} // namespace reseq::fuzz

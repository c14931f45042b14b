#include <algorithm>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "reseq/wire/base64.hpp"
#include "reseq/wire/delivery.hpp"
#include "reseq/wire/incoming.hpp"
#include "reseq/wire/json.hpp"
#include "targets.hpp"

namespace reseq::fuzz {
namespace {

using namespace wire;

/// One value and nothing after it, compact.
result<std::string> read_value(std::string_view text) {
  json::reader in(text);
  auto value = in.value();
  if (!value) return value;
  if (auto ended = in.end(); !ended) return tl::unexpected(ended.error());
  return value;
}

std::string why_not(std::string_view text) {
  try {
    return nlohmann::json::parse(text).is_discarded() ? "discarded" : "";
  } catch (const nlohmann::json::exception& error) {
    return error.what();
  }
}

void run_json(std::string_view input) {
  const auto value = read_value(input);
  const auto theirs = why_not(input);
  if (value) {
    require(theirs.empty() || theirs.find("out_of_range") != std::string::npos, "what we take is JSON for others too");
    require(json::is_compact(*value), "a value read is compact");
    require(read_value(*value) == *value, "a compact value stays as it is");
    require(json::is_compact(input) == (*value == input), "compact is what loses nothing");
    if (theirs.empty())
      require(nlohmann::json::parse(input) == nlohmann::json::parse(*value), "white space only is lost");
  } else {
    require(!json::is_compact(input), "what cannot be read is not compact");
    const auto odd = input.starts_with("\xef") || input.find('\0') != std::string_view::npos; // only they take these
    const auto deep = value.error().what.find("nested deeper") != std::string::npos;
    require(!theirs.empty() || odd || deep, "we take what is JSON for others");
  }
  std::string quoted;
  json::append_string(quoted, input);
  json::reader in(quoted);
  const auto back = in.string();
  require(back && in.end().has_value(), "any bytes can be written as a string");
  require(!json::valid_utf8(input) || *back == input, "text reads back from its string");
  require(quoted.find('\n') == std::string::npos, "a string is written on one line");
  require(why_not(quoted).empty(), "others can read what we write");
}

void run_base64(std::string_view input) {
  if (const auto bytes = decode_base64(input)) {
    std::string again;
    append_base64(again, *bytes);
    require(again == input, "only the canonical encoding is taken");
  }
  std::string text;
  append_base64(text, input);
  require(decode_base64(text) == std::string(input), "bytes read back from their encoding");
}

/// The payload that a receiver has back from a line (see `append_envelope`).
std::string payload_of(std::string_view line) {
  std::string payload;
  json::reader in(line);
  const auto read = in.object([&](const std::string& name) -> result<void> {
    auto value = in.value();
    if (!value) return tl::unexpected(value.error());
    if (name == "payload_base64") payload = *decode_base64(std::string_view(*value).substr(1, value->size() - 2));
    if (name == "payload") payload = value->starts_with('"') ? *json::reader(*value).string() : *value;
    return {};
  });
  require(read && in.end().has_value(), "a line is one JSON object");
  return payload;
}

void check_line(const content_ptr& body, const std::string& id, const std::string& key) {
  const delivery sent{"p", "d", sequence{7}, sequence{6}, position{9}, id, key, epoch{1}, 2, body};
  std::string line;
  append_envelope(line, sent);
  require(line.find('\n') == line.size() - 1, "a line is one line");
  line.pop_back();
  require(payload_of(line) == body->payload, "a payload is had back byte for byte");
  const auto name = name_of_line(std::string_view(line).substr(0, 4096));
  require(name && name->seq == sent.seq && name->message_id == id, "a line tells its sequence and message");
}

constexpr limits bounds{2048, 8};

void run_ndjson(std::string_view input) {
  const auto messages = from_ndjson(input, bounds);
  if (!messages) {
    require(messages.error().where.starts_with("line "), "a refusal names the line");
    return;
  }
  require(messages->size() <= bounds.max_lines, "no more lines than allowed");
  for (const auto& one : *messages) {
    require(!one.id.empty() && one.id.size() <= max_id_bytes, "a message has an id");
    require(one.body.payload.size() <= bounds.max_message, "no larger payload than allowed");
    require(one.key.size() <= max_key_bytes && json::valid_utf8(one.key), "a key is short and text");
    check_line(std::make_shared<content>(one.body), one.id, one.key);
  }
}

/// Transforms may make of a message what no producer could send.
void run_line(std::string_view input) {
  static_cast<void>(name_of_line(input));
  cutter cut(input);
  content body;
  body.content_type = std::string(cut.next());
  body.headers = {{std::string(cut.next()), std::string(cut.next())}};
  const std::string key(cut.next());
  while (!cut.done()) body.payload += cut.next();
  if (input.size() % 2 == 0) body.content_type = "application/json";
  check_line(std::make_shared<content>(body), "m\"1\\", key);
}

} // namespace

std::vector<target> wire_targets() {
  const std::string deep(60, '[');
  return {
    {"json",
     run_json,
     {R"({"a":[1,-2.5e+10,true,false,null],"\u00e9\ud83d\ude00":"\"\\\/\b\f\n\r\t"})", " [ 1 , 2 ] ",
      deep + std::string(60, ']'), "\"\xc3\xa9\xf0\x9f\x98\x80\"", "1e999", "\xef\xbb\xbf{}", R"("\ud800")"}},
    {"base64", run_base64, {"", "QQ==", "QUI=", "QUJD", "QR==", "Q", "+/+/"}},
    {"ndjson",
     run_ndjson,
     {R"({"id":"a","key":"k","destinations":["d","e"],"headers":{"ce-type":"t","X-A":"b"},"payload":{"a":1}})"
      "\n"
      R"({"payload":"text"})",
      R"({"payload_base64":"AAE=","headers":{"ce-id":"1","ce-source":"s"}})"
      "\r\n\n",
      R"({"payload":1.0e5,"headers":{"content-type":"Application/X+JSON ; a=b"}})", R"({"expect_version":1})"}},
    {"line",
     run_line,
     {R"({"delivery_id":"p/d/7","sequence":7,"previous_sequence":6,"position":9,"message_id":"m","key":""})",
      "1application/json{\"a\":[1,2]}", std::string("2text/plain\0\xff\xfe", 14)}},
  };
}

} // namespace reseq::fuzz

#include <random>

#include "catch.hpp"
#include "reseq/wire/incoming.hpp"

using namespace reseq;
using namespace reseq::wire;

namespace {

using names = std::vector<std::string>;
constexpr limits roomy{1 << 20, 1000};

incoming one(std::string_view line) {
  auto messages = from_ndjson(line, roomy);
  INFO(line);
  REQUIRE(messages.has_value());
  REQUIRE(messages->size() == 1);
  return messages->at(0);
}

error refusal(std::string_view body, const limits& bounds = roomy) {
  const auto read = from_ndjson(body, bounds);
  INFO(body);
  REQUIRE_FALSE(read);
  return read.error();
}

} // namespace

TEST_CASE("an envelope says everything about its message") {
  const auto message = one(R"( { "payload" : {"a" : [1.0, "x y"]}, "headers":{"Ce-Type":"t","x":""}, "pipeline":"p",)"
                           R"("destinations":["b","a","b"],"key":"k\u00e9","id":"7"} )");
  CHECK(message.id == "7");
  CHECK(message.key == "ké");
  CHECK(message.pipeline == "p");
  CHECK(message.destinations == names{"a", "b"});
  CHECK(message.body.payload == R"({"a":[1.0,"x y"]})");
  CHECK(message.body.content_type == "application/json");
  CHECK(message.body.headers == header_list{{"Ce-Type", "t"}, {"x", ""}});
}

TEST_CASE("the payload is a text, JSON as it was written, or bytes") {
  struct row {
    std::string fields;
    std::string payload;
    std::string type;
  };
  const auto [fields, payload, type] = GENERATE(values<row>({
    {R"("payload":"")", "", "text/plain; charset=utf-8"},
    {R"("payload":"a\n\ud83d\ude00")", "a\n😀", "text/plain; charset=utf-8"},
    {R"("payload":null)", "null", "application/json"},
    {R"("payload": 12345678901234567890.10 )", "12345678901234567890.10", "application/json"},
    {R"("payload":{"b":1,"a":"\u0041","b":2})", R"({"b":1,"a":"\u0041","b":2})", "application/json"},
    {R"("payload_base64":"AP8=")", std::string("\0\xff", 2), "application/octet-stream"},
    {R"("payload_base64":"")", "", "application/octet-stream"},
    {R"("payload":"{}","headers":{"Content-Type":"application/json"})", "{}", "application/json"},
    {R"("headers":{"content-type":""},"payload":1)", "1", ""},
  }));
  const auto message = one("{" + fields + "}");
  CHECK(message.body.payload == payload);
  CHECK(message.body.content_type == type);
}

TEST_CASE("an envelope without an id gets its event's, or one of its own") {
  CHECK(one(R"({"payload":1,"headers":{"ce-source":"/s","CE-ID":"9"}})").id == "/s 9");
  CHECK(one(R"({"payload":1})").id.size() == 36);
  CHECK(refusal(R"({"payload":1,"headers":{"ce-id":"9"}})").where == "line 1: headers: ce-source");
}

TEST_CASE("lines are read in order, empty ones are skipped, and the last needs no end") {
  const auto messages =
    from_ndjson("\n{\"id\":\"a\",\"payload\":1}\r\n \t\r\n{\"id\":\"b\",\"payload\":2}", roomy).value();
  REQUIRE(messages.size() == 2);
  CHECK(messages[0].id == "a");
  CHECK(messages[1].id == "b");
  CHECK(from_ndjson("", roomy).value().empty());
  CHECK(from_ndjson("\n\n", roomy).value().empty());
}

TEST_CASE("a malformed line fails the batch, and its number counts the empty lines") {
  const auto e = refusal("{\"payload\":1}\n\n{\"payload\":}\n{\"payload\":1}");
  CHECK(e.code == errc::invalid);
  CHECK(e.text() == "line 3: payload: expected a value, at column 12");
}

TEST_CASE("a bad line says which field is wrong and how") {
  struct row {
    std::string line;
    std::string text;
  };
  const auto [line, text] = GENERATE(values<row>({
    {"[]", "line 1: must be a JSON object"},
    {"1", "line 1: must be a JSON object"},
    {"{", "line 1: ends where a string is expected, at column 2"},
    {"{}", "line 1: payload: is missing (or payload_base64)"},
    {R"({"payload":1} x)", "line 1: something follows the end of the value, at column 15"},
    {R"({"payload":1,})", "line 1: expected a string, at column 14"},
    {R"({"payload":1,"payload_base64":""})", "line 1: payload: is given beside payload_base64"},
    {R"({"payload":1,"payload":1})", "line 1: payload: is given more than once"},
    {R"({"payload":1,"p\u0061yload":1})", "line 1: payload: is given more than once"},
    {R"({"Payload":1})", "line 1: unknown field 'Payload'"},
    {R"({"":1})", "line 1: unknown field ''"},
    {R"({"payload_base64":"A"})",
     "line 1: payload_base64: is not base64 (standard alphabet, padded with '=', no white space)"},
    {R"({"payload_base64":1})", "line 1: payload_base64: must be a string"},
    {R"({"payload":"\ud800"})", "line 1: payload: half of a surrogate pair, at column 19"},
    {R"({"id":"","payload":1})",
     "line 1: id: must be 1 to 255 printable ASCII characters, the first and the last no blank"},
    {R"({"id":" a","payload":1})",
     "line 1: id: must be 1 to 255 printable ASCII characters, the first and the last no blank"},
    {R"({"id":"a ","payload":1})",
     "line 1: id: must be 1 to 255 printable ASCII characters, the first and the last no blank"},
    {R"({"headers":{"reseq-key":"k"},"payload":1})", "line 1: headers: reseq-key: is the field 'key' of a line"},
    {R"({"headers":{"Reseq-Destinations":"d"},"payload":1})",
     "line 1: headers: Reseq-Destinations: is the field 'destinations' of a line"},
    {R"({"headers":{"Idempotency-Key":"k"},"payload":1})",
     "line 1: headers: Idempotency-Key: is the field 'id' of a line"},
    {R"({"headers":{"Reseq-Sequence":"1"},"payload":1})",
     "line 1: headers: Reseq-Sequence: is no header that a message can have"},
    {R"({"id":"é","payload":1})",
     "line 1: id: must be 1 to 255 printable ASCII characters, the first and the last no blank"},
    {R"({"id":7,"payload":1})", "line 1: id: must be a string"},
    {R"({"id":)", "line 1: id: ends where a string is expected, at column 7"},
    {R"({"destinations": )", "line 1: destinations: ends where '[' is expected, at column 18"},
    {R"({"headers":)", "line 1: headers: ends where '{' is expected, at column 12"},
    {R"({"id":null,"payload":1})", "line 1: id: must be a string"},
    {R"({"key":{},"payload":1})", "line 1: key: must be a string"},
    {R"({"pipeline":"","payload":1})", "line 1: pipeline: must not be empty"},
    {R"({"destinations":"a","payload":1})", "line 1: destinations: must be a list of names"},
    {R"({"destinations":["a",1],"payload":1})", "line 1: destinations: must be a string"},
    {R"({"destinations":["a",""],"payload":1})", "line 1: destinations: has an empty entry"},
    {R"({"destinations":[],"payload":1})",
     "line 1: destinations: names no destination (leave it out for the pipeline's route)"},
    {R"({"headers":[],"payload":1})", "line 1: headers: must be an object"},
    {R"({"headers":{"a":1},"payload":1})", "line 1: headers: a: must be a string"},
    {R"({"headers":{"a":"1","A":"2"},"payload":1})", "line 1: headers: A: is given more than once"},
    {R"({"headers":{"a b":"1"},"payload":1})", "line 1: headers: 'a b' is no header name"},
    {R"({"headers":{"a":"1\r\nHost: x"},"payload":1})", "line 1: headers: a: must not contain control characters"},
    {R"({"expect_version":3,"payload":1})", "line 1: expect_version: is not available in this version"},
    {"{\"payload\":\"\xff\"}", "line 1: payload: the string is not UTF-8, at column 14"},
  }));
  const auto e = refusal(line);
  CHECK(e.code == errc::invalid);
  CHECK(e.text() == text);
}

TEST_CASE("payload, key, headers, depth and the number of messages are bounded") {
  const limits tight{8, 2};
  const auto line = [](const std::string& fields) { return "{" + fields + "}\n"; };
  CHECK(from_ndjson(line(R"("payload":"12345678")") + line(R"("payload":[1,    2,3])"), tight).has_value());
  const auto e = refusal(line(R"("payload":"123456789")"), tight);
  CHECK(e.code == errc::too_large);
  CHECK(e.text() == "line 1: payload: is over 8 bytes");
  CHECK(refusal(line(R"("payload_base64":"MTIzNDU2Nzg5")"), tight).code == errc::too_large);
  CHECK(refusal("{\"payload\":1}\n{\"payload\":1}\n\n{\"payload\":1}\n", tight).text() ==
        "line 4: more than 2 messages in a batch");
  CHECK(refusal(line(R"("payload":1,"key":")" + std::string(1025, 'k') + '"')).where == "line 1: key");
  CHECK(refusal(line(R"("payload":1,"headers":{"a":")" + std::string(max_header_bytes, 'x') + "\"}")).code ==
        errc::too_large);
  CHECK(refusal(line(R"("payload":)" + std::string(100, '['))).text().find("nested deeper") != std::string::npos);
}

TEST_CASE("an error does not repeat a long name, and cuts it between two characters") {
  std::string name;
  for (int i = 0; i < 1000; ++i) name += "€";
  const auto e = refusal("{\"" + name + "\":1}");
  CHECK(e.what.size() < 100);
  CHECK(e.what.find("€…'") != std::string::npos);
}

TEST_CASE("a line that is cut off or damaged anywhere is refused or read, and never worse") {
  const std::string line =
    R"({"id":"a","key":"\u00e9","destinations":["x"],"headers":{"a":"b"},"payload":{"n":[1.5e3,"\ud83d\ude00"]}})";
  for (std::size_t length = 1; length < line.size(); ++length) {
    CHECK_FALSE(from_ndjson(std::string_view{line}.substr(0, length), roomy).has_value());
  }
  std::mt19937 random(3);
  for (int round = 0; round < 20'000; ++round) {
    auto damaged = line;
    for (auto times = 1 + random() % 3; times > 0; --times) {
      damaged[random() % damaged.size()] = static_cast<char>(random() & 0xffU);
    }
    const auto read = from_ndjson(damaged, roomy);
    if (!read) REQUIRE(read.error().where.starts_with("line "));
  }
}

#include "reseq/wire/delivery.hpp"

#include <memory>
#include <random>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "reseq/wire/base64.hpp"
#include "reseq/wire/incoming.hpp"
#include "reseq/wire/json.hpp"

using namespace reseq;
using namespace reseq::wire;

namespace {

delivery example(content body = {"hello", "text/plain", {{"traceparent", "00-1"}}}) {
  return {"orders",  "billing",    sequence{7}, sequence{5}, position{17},
          "order-1", "customer 9", epoch{3},    2,           std::make_shared<const content>(std::move(body))};
}

std::string envelope(const delivery& d) {
  std::string out;
  append_envelope(out, d);
  return out;
}

std::string envelope(content body) { return envelope(example(std::move(body))); }

std::string header_of(const delivery& d, std::string_view name) {
  return std::string{find_header(delivery_headers(d), name)};
}

/// What a receiver that follows the header's table gets out of a line.
std::string received(std::string_view line) {
  std::string payload;
  json::reader in(line);
  const auto read = in.object([&](const std::string& name) -> result<void> {
    const bool text = in.peek() == '"';
    const auto kept = text ? in.string() : in.value();
    if (!kept) return tl::unexpected(kept.error());
    if (name == "payload") payload = *kept;
    if (name == "payload_base64") payload = decode_base64(*kept).value();
    return {};
  });
  REQUIRE(read.has_value());
  return payload;
}

/// The line as a producer would submit its payload and headers again.
incoming submitted_again(const std::string& line) {
  const auto fields = nlohmann::json::parse(line);
  const auto payload = line.find(R"(,"payload)");
  const auto again = R"({"headers":)" + fields["headers"].dump() + line.substr(payload);
  auto messages = from_ndjson(again, {1 << 20, 1});
  INFO(again);
  REQUIRE(messages.has_value());
  return messages->at(0);
}

} // namespace

TEST_CASE("a delivery is named by pipeline, destination and sequence, a batch by its ends") {
  auto first = example();
  auto last = example();
  last.seq = sequence{9};
  CHECK(delivery_id(first) == "orders/billing/7");
  CHECK(batch_id(first, last) == "orders/billing/7-9");
}

TEST_CASE("a request says where its message stands, and carries the producer's headers") {
  CHECK(delivery_headers(example()) == header_list{{"Idempotency-Key", "orders/billing/7"},
                                                   {"Reseq-Pipeline", "orders"},
                                                   {"Reseq-Destination", "billing"},
                                                   {"Reseq-Message-Id", "order-1"},
                                                   {"Reseq-Position", "17"},
                                                   {"Reseq-Sequence", "7"},
                                                   {"Reseq-Previous-Sequence", "5"},
                                                   {"Reseq-Attempt", "2"},
                                                   {"Reseq-Epoch", "3"},
                                                   {"Reseq-Key", "customer 9"},
                                                   {"traceparent", "00-1"}});
}

TEST_CASE("a message without a key has no key header") {
  auto d = example();
  d.key.clear();
  for (const auto& h : delivery_headers(d)) CHECK(h.name != "Reseq-Key");
}

TEST_CASE("a key that no header can hold is percent-encoded so that it can be had back") {
  struct row {
    std::string key;
    std::string value;
  };
  const auto [key, value] = GENERATE(values<row>({
    {"plain", "plain"},
    {"a b", "a b"},
    {" a ", "%20a%20"},
    {" ", "%20"},
    {"50%", "50%25"},
    {"é", "%C3%A9"},
    {"a\r\nX-Evil: 1", "a%0D%0AX-Evil: 1"},
    {std::string("\0\x7f", 2), "%00%7F"},
  }));
  auto d = example();
  d.key = key;
  CHECK(header_of(d, "Reseq-Key") == value);
}

TEST_CASE("no header of a message can smuggle another one in or lie about the request") {
  const auto d = example({"x",
                          "text/plain",
                          {{"ce-subject", "a\r\nHost: evil\t\xe9%20"},
                           {"bad name", "1"},
                           {"", "2"},
                           {"evil\r\nx", "3"},
                           {"Host", "4"},
                           {"content-LENGTH", "5"},
                           {"Content-Type", "6"},
                           {"Transfer-Encoding", "7"},
                           {"IDEMPOTENCY-KEY", "8"},
                           {"Reseq-Sequence", "9"},
                           {"Authorization", "10"},
                           {"X-Fine", "11"}}});
  const auto headers = delivery_headers(d);
  REQUIRE(headers.size() == 12);
  CHECK(headers[10] == header{"ce-subject", "a%0D%0AHost: evil\t\xe9%20"});
  CHECK(headers[11] == header{"X-Fine", "11"});
  CHECK(header_of(d, "Reseq-Sequence") == "7");
  const auto line = nlohmann::json::parse(envelope(d));
  CHECK(line["headers"] ==
        nlohmann::json{{"content-type", "text/plain"}, {"ce-subject", "a%0D%0AHost: evil\té%20"}, {"x-fine", "11"}});
}

TEST_CASE("an envelope is one line with every field") {
  CHECK(envelope(example()) ==
        R"({"delivery_id":"orders/billing/7","sequence":7,"previous_sequence":5,"position":17,"message_id":"order-1",)"
        R"("key":"customer 9","epoch":3,"attempt":2,"headers":{"content-type":"text/plain","traceparent":"00-1"},)"
        R"("payload":"hello"})"
        "\n");
}

TEST_CASE("headers of one name are one member of an envelope") {
  const auto line = nlohmann::json::parse(envelope(content{"", "", {{"Ce-A", "1"}, {"x", "2"}, {"ce-a", "3"}}}));
  CHECK(line["headers"] == nlohmann::json{{"ce-a", "1, 3"}, {"x", "2"}});
}

TEST_CASE("a header's values are joined where its name first comes, in any case, and made safe one by one") {
  content body{"1", "text/plain", {{"B", "1"}, {"a", "x\ny"}, {"Via", "0"}, {"b", "2"}, {"A", ""}, {"b", "\xff"}}};
  std::string out;
  append_headers_object(out, body);
  CHECK(out == "{\"content-type\":\"text/plain\",\"b\":\"1, 2, ÿ\",\"a\":\"x%0Ay, \"}");
}

TEST_CASE("an envelope keeps numbers beyond what a double can hold") {
  auto d = example();
  d.seq = sequence{18446744073709551615U};
  CHECK(envelope(d).find(R"("sequence":18446744073709551615,)") != std::string::npos);
}

TEST_CASE("the payload is a string, JSON or base64, as its type and bytes allow") {
  struct row {
    std::string type;
    std::string payload;
    std::string wanted;
  };
  const auto [type, payload, wanted] = GENERATE(values<row>({
    {"text/plain", "a\n\"b", R"("payload":"a\n\"b"})"},
    {"", "", R"("payload":""})"},
    {"", "{\"a\":1}", R"("payload":"{\"a\":1}"})"},
    {"text/plain", "\xff", R"("payload_base64":"/w=="})"},
    {"application/json", R"({"a":1.0})", R"("payload":{"a":1.0}})"},
    {"Application/JSON ; charset=utf-8", "[1e400]", R"("payload":[1e400]})"},
    {"application/cloudevents+json", "null", R"("payload":null})"},
    {"application/json", R"({"a": 1})", R"("payload":"{\"a\": 1}"})"},
    {"application/json", "1\n", R"("payload":"1\n"})"},
    {"application/json", R"("a")", R"("payload":"\"a\""})"},
    {"application/json", "", R"("payload":""})"},
    {"application/json", "1}", R"("payload":"1}"})"},
    {"application/json", "\xff", R"("payload_base64":"/w=="})"},
    {"application/jsonx", "{}", R"("payload":"{}"})"},
  }));
  CAPTURE(type, payload);
  const auto line = envelope(content{payload, type, {}});
  CHECK(line.substr(line.find("\"payload")) == wanted + "\n");
  CHECK(received(line) == payload);
}

TEST_CASE("JSON that nests too deep to be read again goes as text") {
  const std::string deep = std::string(65, '[') + std::string(65, ']');
  const auto line = envelope(content{deep, "application/json", {}});
  CHECK(line.find("\"payload\":\"[[") != std::string::npos);
  CHECK(received(line) == deep);
}

TEST_CASE("any payload of any type comes back byte for byte") {
  const auto seed = GENERATE(1U, 2U, 3U, 4U);
  CAPTURE(seed);
  std::mt19937 random(seed);
  const std::vector<std::string> types = {"",           "application/json",      "application/x+json; v=1",
                                          "text/plain", "application/json-like", "application/octet-stream"};
  const std::vector<std::string> pieces = {"{",    "}",    "\"a\":", "1.50", ",",  "[",
                                           "]",    "\"",   "\\",     "\n",   "\r", "\xc3",
                                           "\xa9", "null", " ",      "\x7f", "😀",  std::string(1, '\0')};
  for (int round = 0; round < 5'000; ++round) {
    std::string payload;
    for (auto length = random() % 8; length > 0; --length) payload += pieces[random() % pieces.size()];
    if (round % 4 == 0) payload = "{\"a\":[" + std::to_string(random()) + ".0]}";
    const auto type = types[random() % types.size()];
    const auto line = envelope(content{payload, type, {{"x", payload}}});
    CAPTURE(payload, type, line);
    REQUIRE(nlohmann::json::accept(line));
    REQUIRE(line.find('\n') == line.size() - 1);
    REQUIRE(received(line) == payload);
  }
}

TEST_CASE("an envelope's headers and payload, submitted again, are the same message") {
  std::mt19937 random(5);
  const std::vector<std::string> types = {"application/json", "text/plain", "application/octet-stream"};
  for (int round = 0; round < 2'000; ++round) {
    std::string payload;
    for (auto length = random() % 6; length > 0; --length) payload += static_cast<char>(random() & 0xffU);
    if (round % 2 == 0) payload = R"({"n":)" + std::to_string(random()) + "e1}";
    const auto type = types[random() % types.size()];
    const auto again = submitted_again(envelope(content{payload, type, {}}));
    REQUIRE(again.body.payload == payload);
    REQUIRE(again.body.content_type == type);
  }
}

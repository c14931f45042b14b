#include "reseq/wire/incoming.hpp"

#include "catch.hpp"

using namespace reseq;
using namespace reseq::wire;

namespace {

using names = std::vector<std::string>;

std::string hex(const digest& d) {
  std::string out;
  for (const auto byte : d) {
    out += "0123456789abcdef"[byte >> 4U];
    out += "0123456789abcdef"[byte & 15U];
  }
  return out;
}

error refusal(const header_list& headers) {
  const auto read = from_http(headers, "x");
  REQUIRE_FALSE(read);
  return read.error();
}

} // namespace

TEST_CASE("a request's body and content type are kept as they came, with all its headers") {
  const std::string body("\0\xff\r\n ", 5);
  const header_list headers{{"Content-Type", " text/PLAIN ;charset=x"}, {"X-Any", "1"}, {"x-any", "2"}};
  const auto message = from_http(headers, body).value();
  CHECK(message.body.payload == body);
  CHECK(message.body.content_type == " text/PLAIN ;charset=x");
  CHECK(message.body.headers == headers);
  CHECK(message.key.empty());
  CHECK_FALSE(message.destinations);
  CHECK(message.pipeline.empty());
}

TEST_CASE("what lets the producer in is not kept") {
  const auto message = from_http({{"authorization", "Bearer x"}, {"a", "b"}, {"Proxy-Authorization", "y"}}, "").value();
  CHECK(message.body.headers == header_list{{"a", "b"}});
}

TEST_CASE("the id is the producer's, without the quotes around it") {
  struct row {
    std::string value;
    std::string id;
  };
  const auto [value, id] = GENERATE(values<row>({
    {"a", "a"},
    {"\"a b\"", "a b"},
    {"\"\"a\"\"", "\"a\""},
    {"\"", "\""},
    {"\"a", "\"a"},
    {"!~%", "!~%"},
    {std::string(255, 'x'), std::string(255, 'x')},
    {'"' + std::string(255, 'x') + '"', std::string(255, 'x')},
  }));
  CHECK(from_http({{"idempotency-KEY", value}, {"ce-id", "1"}}, "").value().id == id);
}

TEST_CASE("an id must be 1 to 255 printable ASCII characters") {
  const std::string value = GENERATE(as<std::string>{}, "", "\"\"", std::string(256, 'x'), "a\tb", "é", "\xff");
  const auto e = refusal({{"Idempotency-Key", value}});
  CHECK(e.code == errc::invalid);
  CHECK(e.text() == "Idempotency-Key: must be 1 to 255 printable ASCII characters, the first and the last no blank");
}

TEST_CASE("headers that there may be only one of are refused when there are two, the same or not") {
  const std::string name =
    GENERATE(as<std::string>{}, "Idempotency-Key", "Reseq-Key", "Content-Type", "ce-id", "ce-source");
  header_list headers{{name, "a"}, {name, "a"}};
  if (name == "ce-id") headers.push_back({"ce-source", "s"});
  CHECK(refusal(headers).text() == name + ": is given more than once");
}

TEST_CASE("an event's id is its source, a space and its id, or the hash of that") {
  const auto id = [](std::string source, std::string number) {
    return from_http({{"Ce-Id", std::move(number)}, {"Ce-Source", std::move(source)}}, "").value().id;
  };
  CHECK(id("/shop/1", "a b") == "/shop/1 a b");
  CHECK(id(std::string(253, 's'), "1").size() == 255);
  CHECK(id(std::string(300, 's'), "1") == "28ca16867561db5b5e73eca694a87d606e02539d583dd5036edc41375d28179c");
  CHECK(id("café", "1") == "0a61b4044a8a207c9f1e874d25aef49aadc3bca804cb8da860ce815d691bf4d5");
}

TEST_CASE("half of an event's identity is refused instead of replaced by an id that is new each time") {
  CHECK(refusal({{"ce-id", "1"}}).where == "ce-source");
  CHECK(refusal({{"ce-source", "/s"}}).where == "ce-id");
  CHECK(refusal({{"ce-source", "/s"}, {"ce-id", ""}}).where == "ce-id");
  CHECK(from_http({{"ce-id", "1"}, {"Idempotency-Key", "a"}}, "").value().id == "a");
}

TEST_CASE("a message without an id gets one of its own") {
  const auto first = from_http({}, "").value();
  CHECK(first.id.size() == 36);
  CHECK(first.id != from_http({}, "").value().id);
}

TEST_CASE("a key is UTF-8 of up to 1 KiB") {
  CHECK(from_http({{"reseq-key", "kundé 7"}}, "").value().key == "kundé 7");
  CHECK(from_http({{"Reseq-Key", std::string(1024, 'k')}}, "").value().key.size() == 1024);
  CHECK(refusal({{"Reseq-Key", std::string(1025, 'k')}}).text() == "Reseq-Key: must not be over 1024 bytes");
  CHECK(refusal({{"Reseq-Key", "\xff"}}).text() == "Reseq-Key: must be UTF-8");
}

TEST_CASE("requested destinations are sorted and unique, over all headers of the name") {
  const auto message =
    from_http({{"Reseq-Destinations", "mail, billing\t,mail"}, {"reseq-destinations", "audit"}}, "").value();
  CHECK(message.destinations == names{"audit", "billing", "mail"});
}

TEST_CASE("an empty entry among requested destinations is refused") {
  const std::string value = GENERATE(as<std::string>{}, "", " ", ",", "a,", ",a", "a,,b", "a, ,b");
  CHECK(refusal({{"Reseq-Destinations", value}}).text() == "Reseq-Destinations: has an empty entry");
}

TEST_CASE("conditional publish is refused instead of ignored") {
  CHECK(refusal({{"reseq-expect-version", "3"}}).text() == "Reseq-Expect-Version: is not available in this version");
}

TEST_CASE("a header that only looks like one of ours is refused, one that a delivery has passes") {
  const std::string name = GENERATE(as<std::string>{}, "Reseq-Keyy", "reseq-to", "RESEQ-", "Reseq-Destination-s");
  CHECK(refusal({{name, "x"}}).text() ==
        "'" + name + "': is no header that a message can have; Reseq-Key and Reseq-Destinations are");
  CHECK(from_http({{"Reseq-Sequence", "1"}, {"reseq-epoch", "2"}, {"Reseq-Pipeline", "p"}, {"Reseqs", "x"}}, "")
          .has_value());
}

TEST_CASE("an id that a delivery calls otherwise gives no id, and does not pass for one") {
  const auto id = [](header_list headers) { return from_http(headers, "").value().id; };
  CHECK(id({{"Reseq-Message-Id", "a"}, {"Idempotency-Key", "p/d/1"}}) == "p/d/1");
  CHECK(id({{"Reseq-Message-Id", "a"}, {"ce-id", "1"}, {"ce-source", "s"}}) == "s 1");
  CHECK(refusal({{"reseq-message-id", "a"}}).text() ==
        "Reseq-Message-Id: is not what gives a message its id: Idempotency-Key is");
}

TEST_CASE("a request's headers are bounded and clean") {
  CHECK(from_http({{"a", std::string(max_header_bytes - 1, 'x')}}, "").has_value());
  CHECK(refusal({{"a", std::string(max_header_bytes, 'x')}}).code == errc::too_large);
  CHECK(refusal({{"a b", "x"}}).text() == "headers: 'a b' is no header name");
  CHECK(refusal({{"a", "x\r\ny"}}).text() == "a: must not contain control characters");
  CHECK(refusal({{"a", std::string(1, '\0')}}).where == "a");
}

TEST_CASE("a fingerprint stays the same for ever") {
  incoming message{"id", "k", std::nullopt, {R"({"a":1})", "application/json", {}}, {}};
  CHECK(hex(fingerprint(message)) == "a6e69b54e4abf7307746e6c1412dc62e");
  message.destinations = names{"billing", "mail"};
  CHECK(hex(fingerprint(message)) == "b9bda23101f5a6655c197405b407977b");
}

TEST_CASE("a fingerprint is of payload, content type, key and requested destinations, and of nothing else") {
  const incoming first{"id", "k", names{"a", "b"}, {"payload", "type", {{"traceparent", "1"}}}, ""};
  auto other = first;
  SECTION("neither id nor headers nor pipeline") {
    other.id = "other";
    other.body.headers.clear();
    other.pipeline = "p";
    CHECK(fingerprint(other) == fingerprint(first));
  }
  SECTION("payload") { other.body.payload += ' '; }
  SECTION("content type") { other.body.content_type = "Type"; }
  SECTION("key") { other.key.clear(); }
  SECTION("the place where one ends and the next begins") {
    other.body.payload = "payloadt";
    other.body.content_type = "ype";
  }
  SECTION("destinations") { other.destinations->pop_back(); }
  SECTION("destinations that look alike in a row") { other.destinations = names{"ab"}; }
  SECTION("whether destinations were requested") { other.destinations.reset(); }
  CHECK((fingerprint(other) == fingerprint(first)) == (other.id != first.id));
}

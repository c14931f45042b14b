#include "catch.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>

#include "actors/protocol.hpp"
#include "fakes.hpp"
#include "virtual_system.hpp"

using namespace reseq;
using namespace reseq::actors;
using namespace reseq::test;

namespace {

const std::string any_bytes{"\0\xff\n{}\x80 text", 11};

template <class T>
std::vector<char> write(T value) {
  std::vector<char> bytes;
  caf::binary_serializer sink{nullptr, bytes};
  REQUIRE_FALSE(sink(value));
  return bytes;
}

template <class T>
T read_back(const T& value) {
  const auto bytes = write(value);
  caf::binary_deserializer source{nullptr, bytes};
  T made;
  REQUIRE_FALSE(source(made));
  CHECK(source.remaining() == 0);
  return made;
}

order make_order() {
  order made;
  made.dispatch = UINT64_MAX;
  made.attempt = 3;
  made.pipeline = "orders";
  made.chains = {"", "billing"};
  made.message = std::make_shared<const message>(
    "m-1", "key \xc3\xa4", content{any_bytes, "application/octet-stream", {{"ce-type", "order.new"}, {"empty", ""}}});
  return made;
}

answer make_answer(answer_kind kind) {
  answer made;
  made.dispatch = 1U << 31U;
  made.chain = 2;
  made.kind = kind;
  made.took_ns = 1'500'000;
  return made;
}

} // namespace

TEST_CASE("a hello arrives as it was sent") {
  const auto got = read_back(hello{9, "secret", "node-1", 64, {"orders", "returns"}, {"f1", "f2"}});
  CHECK(got.protocol == 9);
  CHECK(got.token == "secret");
  CHECK(got.node == "node-1");
  CHECK(got.slots == 64);
  CHECK(got.pipelines == std::vector<std::string>{"orders", "returns"});
  CHECK(got.fingerprints == std::vector<std::string>{"f1", "f2"});
}

TEST_CASE("a hello begins with its protocol version, whatever else changes") {
  hello mine;
  mine.protocol = 0x01020304;
  const auto bytes = write(mine);
  REQUIRE(bytes.size() > 4);
  CHECK(std::string(bytes.begin(), bytes.begin() + 4) == "\x01\x02\x03\x04");
}

TEST_CASE("a welcome and a farewell arrive as they were sent") {
  const auto got = read_back(welcome{true, "because", {"orders"}, {"pipeline returns is not configured"}, "b#2"});
  CHECK(got.accepted);
  CHECK(got.why == "because");
  CHECK(got.pipelines == std::vector<std::string>{"orders"});
  CHECK(got.refused == std::vector<std::string>{"pipeline returns is not configured"});
  CHECK(got.name == "b#2");
  CHECK(read_back(farewell{"it stops"}).why == "it stops");
}

TEST_CASE("orders arrive with their messages, byte for byte") {
  auto second = make_order();
  second.dispatch = 2;
  second.message = std::make_shared<const message>();
  const auto got = read_back(orders{{make_order(), second}}).items;
  REQUIRE(got.size() == 2);
  CHECK(got[0].dispatch == UINT64_MAX);
  CHECK(got[0].attempt == 3);
  CHECK(got[0].pipeline == "orders");
  CHECK(got[0].chains == std::vector<std::string>{"", "billing"});
  REQUIRE(got[0].message);
  CHECK(got[0].message->id() == "m-1");
  CHECK(got[0].message->key() == "key \xc3\xa4");
  CHECK(got[0].message->body() == make_order().message->body());
  CHECK(got[1].dispatch == 2);
  REQUIRE(got[1].message);
  CHECK(got[1].message->id().empty());
  CHECK(got[1].message->body() == content{});
}

TEST_CASE("answers arrive with their bodies, and only those that produced one have one") {
  auto made = make_answer(answer_kind::produced);
  made.body = std::make_shared<const content>(content{any_bytes, "text/plain", {{"a", "b"}}});
  made.narrowed = true;
  made.only_to = {"billing"};
  made.named = {"billing", "audit"};
  auto lost = make_answer(answer_kind::failed);
  lost.error = "no luck";
  const auto got = read_back(answers{{made, make_answer(answer_kind::dropped), lost,
                                      make_answer(answer_kind::permanent), make_answer(answer_kind::unchanged)}})
                     .items;
  REQUIRE(got.size() == 5);
  CHECK(got[0].dispatch == 1U << 31U);
  CHECK(got[0].chain == 2);
  CHECK(got[0].kind == answer_kind::produced);
  CHECK(got[0].narrowed);
  CHECK(got[0].only_to == std::vector<std::string>{"billing"});
  CHECK(got[0].named == std::vector<std::string>{"billing", "audit"});
  CHECK(got[0].took_ns == 1'500'000);
  REQUIRE(got[0].body);
  CHECK(*got[0].body == *made.body);
  CHECK(got[1].kind == answer_kind::dropped);
  CHECK_FALSE(got[1].body);
  CHECK(got[2].kind == answer_kind::failed);
  CHECK(got[2].error == "no luck");
  CHECK_FALSE(got[2].narrowed);
  CHECK_FALSE(got[2].body);
  CHECK(got[3].kind == answer_kind::permanent);
  CHECK(got[4].kind == answer_kind::unchanged);
  CHECK_FALSE(got[4].body);
}

TEST_CASE("a result that is empty is still a result") {
  auto made = make_answer(answer_kind::produced);
  made.body = std::make_shared<const content>();
  const auto got = read_back(made);
  REQUIRE(got.body);
  CHECK(*got.body == content{});
}

TEST_CASE("an answer of a kind that nobody knows is refused, not taken for a dropped message") {
  const auto bytes = write(make_answer(static_cast<answer_kind>(77)));
  caf::binary_deserializer source{nullptr, bytes};
  answer made;
  CHECK(source(made));
}

TEST_CASE("whatever is cut off is refused") {
  const auto bytes = write(orders{{make_order()}});
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    caf::binary_deserializer source{nullptr, bytes.data(), length};
    orders made;
    CAPTURE(length);
    REQUIRE(source(made));
  }
}

TEST_CASE("a message holds the wire types within an actor system, too") {
  virtual_system system;
  auto mail = std::make_shared<worker_mail>();
  const auto worker = system.spawn(fake_worker, mail);
  system.send(worker, orders{{make_order()}});
  REQUIRE(mail->orders.size() == 1);
  CHECK(mail->orders[0].message->id() == "m-1");
}

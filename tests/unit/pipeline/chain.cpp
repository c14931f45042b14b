#include "catch.hpp"

#include <atomic>
#include <cstddef>
#include <latch>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "reseq/model/permanent_error.hpp"
#include "reseq/pipeline/builder.hpp"

using namespace reseq;

namespace {

const message_ptr hello_json =
  std::make_shared<const message>("m-1", "customer-7", content{"hello", "text/plain", {{"traceparent", "00-1"}}});

struct order {
  std::string text;
};

std::string render(const order& o) { return o.text; }

/// A chain of one transform.
template <class F>
chain only(F f) {
  return transforms().transform("only", std::move(f)).finish();
}

outcome run(const chain& c) { return c.run(hello_json, attempt{1}); }

content body_of(const outcome& o) {
  REQUIRE(std::holds_alternative<produced>(o));
  return *std::get<produced>(o).body;
}

failed failure_of(const outcome& o) {
  REQUIRE(std::holds_alternative<failed>(o));
  return std::get<failed>(o);
}

bool is_dropped(const outcome& o) { return std::holds_alternative<dropped>(o); }

} // namespace

TEST_CASE("a chain hands each transform what the one before returned") {
  const auto c = transforms()
                   .transform("parse", [](const message& m) { return order{m.payload() + " parsed"}; })
                   .transform("enrich", [](order o) { return order{o.text + " enriched"}; })
                   .transform("render", render)
                   .finish();
  CHECK(body_of(run(c)).payload == "hello parsed enriched");
}

TEST_CASE("a text keeps the message's content type and headers, a content replaces them") {
  CHECK(body_of(run(only([](message) { return "text"; }))) == content{"text", "text/plain", {{"traceparent", "00-1"}}});
  CHECK(body_of(run(only([](const message&) {
          return content{"1", "application/json", {}};
        }))) == content{"1", "application/json", {}});
}

TEST_CASE("bytes of each kind can be a payload") {
  CHECK(body_of(run(only([](const message&) {
          return std::vector<char>{'a', '\0', 'b'};
        })))
          .payload == std::string("a\0b", 3));
  CHECK(body_of(run(only([](const message&) { return std::vector<std::byte>{std::byte{255}}; }))).payload == "\xff");
  CHECK(body_of(run(only([](const message&) { return std::vector<unsigned char>{}; }))).payload.empty());
}

TEST_CASE("values and transforms that can only be moved flow through a chain") {
  const auto c =
    transforms()
      .transform("own", [suffix = std::make_unique<std::string>("!")](
                          const message& m) { return std::make_unique<std::string>(m.payload() + *suffix); })
      .transform("unwrap", [](std::unique_ptr<std::string> s) { return *s; })
      .finish();
  CHECK(body_of(run(c)).payload == "hello!");
  CHECK(body_of(run(c)).payload == "hello!");
}

TEST_CASE("members of the value and references to it are transforms' results too") {
  const auto c = transforms()
                   .transform("parse", [](const message& m) { return order{m.payload()}; })
                   .transform("text", &order::text)
                   .finish();
  CHECK(body_of(run(c)).payload == "hello");
}

TEST_CASE("an empty optional drops the message and spares the transforms after it") {
  const auto c = transforms()
                   .transform("filter",
                              [](const message& m) -> std::optional<order> {
                                if (m.payload() == "hello") return drop;
                                return order{m.payload()};
                              })
                   .transform("never", [](const order&) -> std::string { throw std::logic_error("reached"); })
                   .finish();
  CHECK(is_dropped(run(c)));
}

TEST_CASE("an optional with a value, in whatever nesting, is the value to the next transform") {
  using nested = std::optional<std::optional<order>>;
  const auto c = transforms()
                   .transform("parse", [](const message& m) -> nested { return order{m.payload()}; })
                   .transform("render", [](order o) -> std::optional<std::string> { return o.text; })
                   .finish();
  CHECK(body_of(run(c)).payload == "hello");
}

TEST_CASE("a transform narrows the destinations, and the next one goes on with the value") {
  const auto c = transforms()
                   .transform("route",
                              [](const message& m) {
                                return to({"billing", "audit"}, order{m.payload()});
                              })
                   .transform("render", render)
                   .finish();
  const auto result = run(c);
  CHECK(body_of(result).payload == "hello");
  CHECK(std::get<produced>(result).only_to == destination_names{"billing", "audit"});
}

TEST_CASE("several narrowings leave what all of them name") {
  const auto c = transforms()
                   .transform("first",
                              [](const message& m) {
                                return to({"a", "b"}, m.payload());
                              })
                   .transform("second",
                              [](std::string s) {
                                return to({"b", "c"}, s);
                              })
                   .transform("third",
                              [](std::string s) -> std::optional<routed<std::string>> {
                                return to({"c", "b"}, s);
                              })
                   .finish();
  const auto result = std::get<produced>(run(c));
  CHECK(result.only_to == destination_names{"b"});
  CHECK(result.named == destination_names{"a", "b", "b", "c", "c", "b"});
}

TEST_CASE("a chain that narrows nothing is for every destination") {
  CHECK(!std::get<produced>(run(only([](const message& m) { return m.payload(); }))).only_to);
}

TEST_CASE("a transform that returns an outcome may end in any way") {
  const auto c = only([](const message&, const attempt_context& context) -> outcome {
    switch (context.number.value()) {
    case 1: return drop;
    case 2: return to({"billing"}, content{"narrowed", "", {}});
    case 3: return to_all({"everywhere", "", {}});
    case 4: return failed{"not today", false};
    default: return failed{"never", true};
    }
  });
  CHECK(is_dropped(c.run(hello_json, attempt{1})));
  CHECK(body_of(c.run(hello_json, attempt{2})).payload == "narrowed");
  CHECK(std::get<produced>(c.run(hello_json, attempt{2})).only_to == destination_names{"billing"});
  CHECK(body_of(c.run(hello_json, attempt{3})).payload == "everywhere");
  CHECK(failure_of(c.run(hello_json, attempt{4})).what == "only: not today");
  CHECK(!failure_of(c.run(hello_json, attempt{4})).permanent);
  CHECK(failure_of(c.run(hello_json, attempt{5})).permanent);
}

TEST_CASE("any transform may ask which attempt it is and which message it works on") {
  const auto c = transforms()
                   .transform("first", [](const message&, const attempt_context& c1) { return c1.number.value(); })
                   .transform("second",
                              [](std::uint32_t number, const attempt_context& c2) {
                                return c2.source.id() + "/" + c2.source.key() + "/" + std::to_string(number);
                              })
                   .finish();
  CHECK(body_of(c.run(hello_json, attempt{3})).payload == "m-1/customer-7/3");
}

TEST_CASE("what a transform throws is a failed attempt that names the transform") {
  const auto failing_with = [](auto thrown) {
    return failure_of(run(only([thrown](const message&) -> std::string { throw thrown; })));
  };
  SECTION("an exception") {
    const auto f = failing_with(std::runtime_error("service away"));
    CHECK(f.what == "only: service away");
    CHECK(!f.permanent);
  }
  SECTION("a permanent error") {
    const auto f = failing_with(permanent_error("no such customer"));
    CHECK(f.what == "only: no such customer");
    CHECK(f.permanent);
  }
  SECTION("something else") {
    const auto f = failing_with(42);
    CHECK(f.what == "only: threw something that is not a std::exception");
    CHECK(!f.permanent);
  }
  SECTION("an exception without a text") {
    CHECK(failing_with(std::runtime_error("")).what == "only: failed without saying why");
  }
  SECTION("a text too long for a record is cut between characters") {
    std::string long_text;
    while (long_text.size() < 2 * max_failure_bytes) long_text += "ü";
    const auto f = failing_with(std::runtime_error(long_text));
    CHECK(f.what == "only: " + long_text.substr(0, max_failure_bytes - 6));
    CHECK(failing_with(std::runtime_error("x" + long_text)).what.size() == max_failure_bytes - 1);
  }
}

TEST_CASE("a null pointer as result is a failed attempt") {
  CHECK(failure_of(run(only([](const message&) -> const char* { return nullptr; }))).what ==
        "only: returned a null pointer as its result");
  CHECK(failure_of(run(only([](const message&) -> outcome { return produced{nullptr}; }))).what ==
        "only: returned a null pointer as its result");
}

TEST_CASE("a chain without transforms hands the content on without copying it") {
  const auto result = run(chain{});
  CHECK(std::get<produced>(result).body.get() == &hello_json->body());
}

TEST_CASE("a presented message has the new content and the old id and key") {
  const auto shown = present(hello_json, std::make_shared<const content>(content{"new", "a/b", {}}));
  CHECK(shown->body() == content{"new", "a/b", {}});
  CHECK(shown->id() == "m-1");
  CHECK(shown->key() == "customer-7");
  CHECK(present(hello_json, content_of(hello_json)) == hello_json);
}

TEST_CASE("many threads run one chain at once") {
  constexpr int threads = 8;
  constexpr int rounds = 500;
  std::atomic<int> calls{0};
  const auto c = transforms()
                   .transform("count",
                              [&calls](const message& m) {
                                ++calls;
                                return std::make_unique<std::string>(m.id());
                              })
                   .transform("unwrap", [](std::unique_ptr<std::string> s) { return to({*s}, *s); })
                   .finish();
  std::atomic<int> right{0};
  std::latch start(threads);
  std::vector<std::jthread> all;
  for (int t = 0; t < threads; ++t)
    all.emplace_back([&, id = std::to_string(t)] {
      const auto own = std::make_shared<const message>(id, "", content{});
      start.arrive_and_wait();
      for (int i = 0; i < rounds; ++i) {
        const auto result = c.run(own, attempt{1});
        const auto* p = std::get_if<produced>(&result);
        if (p && p->body->payload == id && p->only_to == destination_names{id}) ++right;
      }
    });
  all.clear();
  CHECK(calls == threads * rounds);
  CHECK(right == threads * rounds);
}

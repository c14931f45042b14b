#include "catch.hpp"

#include <memory>
#include <string>
#include <vector>

#include "reseq/pipeline/builder.hpp"
#include "reseq/pipeline/registry.hpp"

using namespace reseq;

namespace {

const message_ptr greeting = std::make_shared<const message>("m-1", "k", content{"hello", "text/plain", {}});

auto appending(std::string suffix) {
  return [suffix](const message& m) { return m.payload() + suffix; };
}

std::string text_of(const chain& c, const message_ptr& m = greeting) {
  const auto result = c.run(m, attempt{1});
  REQUIRE(std::holds_alternative<produced>(result));
  return std::get<produced>(result).body->payload;
}

transform_settings use(std::string name, std::string version = {}) {
  transform_settings wanted;
  wanted.use = std::move(name);
  wanted.version = std::move(version);
  return wanted;
}

registry known_transforms() {
  registry known;
  REQUIRE(known.add(transform("enrich", appending("+enriched"))));
  REQUIRE(known.add(transform("render", appending("+rendered")).version("2")));
  REQUIRE(
    known.add(pipeline("orders")
                .transform("composed", appending("+composed"))
                .destination("billing", "http://127.0.0.1/billing")
                .destination("audit", "file:///tmp/audit", transforms().transform("redact", appending("+redacted")))));
  return known;
}

pipeline_settings settings_of(std::string name, std::vector<transform_settings> wanted = {}) {
  pipeline_settings settings;
  settings.name = std::move(name);
  settings.transforms = std::move(wanted);
  return settings;
}

runnable_pipeline made(const registry& known, const pipeline_settings& settings) {
  auto runnable = make_runnable(known, settings);
  REQUIRE(runnable);
  return *runnable;
}

std::string fingerprint_of(const auto& definition) {
  registry known;
  REQUIRE(known.add(definition));
  return fingerprint(made(known, known.pipelines().begin()->second.settings));
}

std::string as_text(const message& m) { return m.payload(); }

} // namespace

TEST_CASE("transforms named in the settings run in their order, each on the result before it") {
  const auto runnable =
    made(known_transforms(), settings_of("other", {use("enrich"), use("identity"), use("render"), use("enrich")}));
  CHECK(text_of(runnable.common) == "hello+enriched+rendered+enriched");
}

TEST_CASE("settings that name no transforms mean the composed chains") {
  const auto known = known_transforms();
  const auto runnable = made(known, known.pipelines().at("orders").settings);
  CHECK(text_of(runnable.common) == "hello+composed");
  CHECK(runnable.own.size() == 1);
  CHECK(text_of(runnable.own.at("audit")) == "hello+redacted");
}

TEST_CASE("settings' transforms replace the composed ones, for the pipeline and for each destination") {
  const auto known = known_transforms();
  auto settings = known.pipelines().at("orders").settings;
  settings.transforms = {use("enrich")};
  CHECK(text_of(made(known, settings).common) == "hello+enriched");
  CHECK(text_of(made(known, settings).own.at("audit")) == "hello+redacted");

  settings.destinations.at(0).transforms = {use("render")};
  settings.destinations.at(1).transforms = {use("identity")};
  CHECK(text_of(made(known, settings).own.at("billing")) == "hello+rendered");
  CHECK(text_of(made(known, settings).own.at("audit")) == "hello");
}

TEST_CASE("a composed destination that the settings left out has no chain") {
  const auto known = known_transforms();
  auto settings = known.pipelines().at("orders").settings;
  settings.destinations.pop_back();
  CHECK(made(known, settings).own.empty());
}

TEST_CASE("a pipeline nobody composed, without transforms, is the identity and copies nothing") {
  const auto runnable = made(registry{}, settings_of("plain"));
  CHECK(runnable.common.empty());
  const auto result = runnable.common.run(greeting, attempt{1});
  CHECK(std::get<produced>(result).body.get() == &greeting->body());
}

TEST_CASE("identity transforms copy nothing either") {
  const auto runnable = made(registry{}, settings_of("plain", {use("identity"), use("identity")}));
  const auto result = runnable.common.run(greeting, attempt{1});
  CHECK(std::get<produced>(result).body.get() == &greeting->body());
}

TEST_CASE("a destination's own chain starts from the common chain's content") {
  registry known;
  REQUIRE(
    known.add(pipeline("orders")
                .transform("shout",
                           [](const message&) {
                             return content{"HELLO", "text/loud", {{"volume", "11"}}};
                           })
                .destination(destination("audit").transformed(transforms().transform("describe", [](const message& m) {
                  return m.id() + " " + m.key() + " " + m.payload() + " " + m.content_type() + " " +
                         std::string(m.header("Volume"));
                })))));
  const auto runnable = made(known, known.pipelines().at("orders").settings);
  const auto common = runnable.common.run(greeting, attempt{1});
  CHECK(text_of(runnable.own.at("audit"), present(greeting, std::get<produced>(common).body)) ==
        "m-1 k HELLO text/loud 11");
}

TEST_CASE("an unknown transform's error says where it is named") {
  const auto known = known_transforms();
  auto settings = settings_of("orders", {use("identity"), use("enirch")});
  auto problem = make_runnable(known, settings);
  REQUIRE(!problem);
  CHECK(problem.error().code == errc::not_found);
  CHECK(problem.error().text() == "pipeline.orders.transform.use: no transform is registered as 'enirch'");

  settings.transforms.clear();
  settings.destinations = {destination("billing").settings()};
  settings.destinations[0].transforms = {use("dellay")};
  problem = make_runnable(known, settings);
  REQUIRE(!problem);
  CHECK(problem.error().text() == "pipeline.orders.destination.billing.transform.use: no transform is registered as "
                                  "'dellay'");
}

TEST_CASE("a name is registered once, and a built-in one not at all") {
  auto known = known_transforms();
  CHECK(known.add(transform("", as_text)).error().code == errc::invalid);
  CHECK(known.add(transform("enrich", as_text)).error().text() == "transform 'enrich': registered twice");
  CHECK(known.add(transform("delay", as_text)).error().code == errc::conflict);
  CHECK(known.add(pipeline("orders")).error().text() == "pipeline.orders: composed twice");
  CHECK(known.add(pipeline("x").destination("a", "u").destination("a", "v")).error().text() ==
        "pipeline.x.destination.a: composed twice");
  CHECK(text_of(made(known, settings_of("y", {use("enrich")})).common) == "hello+enriched");
}

TEST_CASE("a fingerprint does not change with the code") {
  CHECK(fingerprint_of(pipeline("p").transform("a", appending("1"))) ==
        fingerprint_of(pipeline("p").transform("a", as_text)));
  CHECK(fingerprint_of(pipeline("p").transform("a", as_text)).size() == 16);
}

TEST_CASE("a fingerprint changes with names, types, versions, order and destinations") {
  const auto as_content = [](const message& m) { return m.body(); };
  const auto own_a = transforms().transform("a", as_text);
  const auto own_b = transforms().transform("b", as_text);
  const std::vector<std::string> all = {
    fingerprint_of(pipeline("p")),
    fingerprint_of(pipeline("q")),
    fingerprint_of(pipeline("p").transform("a", as_text)),
    fingerprint_of(pipeline("p").transform("b", as_text)),
    fingerprint_of(pipeline("p").transform("a", as_content)),
    fingerprint_of(pipeline("p").transform("a", as_text).version("2")),
    fingerprint_of(pipeline("p").transform("a", as_text).transform("b", [](std::string s) { return s; })),
    fingerprint_of(pipeline("p").transform("b", as_text).transform("a", [](std::string s) { return s; })),
    fingerprint_of(pipeline("p").destination("a", "u", own_a)),
    fingerprint_of(pipeline("p").destination("b", "u", own_a)),
    fingerprint_of(pipeline("p").destination("a", "u", own_b)),
    fingerprint_of(pipeline("p").destination("a", "u", own_a.version("2"))),
  };
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      CAPTURE(i, j);
      CHECK(all[i] != all[j]);
    }
}

TEST_CASE("tuning leaves a fingerprint alone") {
  CHECK(fingerprint_of(pipeline("p").destination("a", "u")) == fingerprint_of(pipeline("p").destination("b", "v")));
  auto slow = use("delay");
  slow.delay.min = std::chrono::hours{1};
  CHECK(fingerprint(made({}, settings_of("p", {slow}))) == fingerprint(made({}, settings_of("p", {use("delay")}))));
}

TEST_CASE("a version in the settings counts instead of the registered one") {
  const auto known = known_transforms();
  const auto registered = fingerprint(made(known, settings_of("p", {use("render")})));
  CHECK(fingerprint(made(known, settings_of("p", {use("render", "2")}))) == registered);
  CHECK(fingerprint(made(known, settings_of("p", {use("render", "3")}))) != registered);
}

TEST_CASE("the pipeline composed in C++ and the same transform named in the settings are different chains") {
  const auto known = known_transforms();
  const auto composed = made(known, settings_of("orders"));
  const auto named = made(known, settings_of("orders", {use("render")}));
  CHECK(fingerprint(composed) != fingerprint(named));
}

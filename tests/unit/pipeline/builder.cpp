#include "catch.hpp"

#include <string>

#include "reseq/pipeline/builder.hpp"

using namespace reseq;

namespace {

std::string copy(const message& m) { return m.payload(); }

} // namespace

TEST_CASE("every call on a builder returns a new value and leaves the old one as it was") {
  const auto base = pipeline("orders").destination("billing", "http://127.0.0.1/billing");
  const auto longer = base.transform("copy", copy).destination("audit", "file:///tmp/audit");
  CHECK(base.settings().destinations.size() == 1);
  CHECK(base.compose().common.empty());
  CHECK(longer.settings().destinations.size() == 2);
  CHECK(longer.compose().common.steps().size() == 1);
}

TEST_CASE("a builder's settings are what was said, and defaults for the rest") {
  retry_settings twice;
  twice.max_attempts = 2;
  const auto orders = pipeline("orders").retry(twice).carry({"x-*"}).destination(destination("billing")
                                                                                   .url("http://127.0.0.1/billing")
                                                                                   .order(delivery_order::key)
                                                                                   .connections(3)
                                                                                   .max_blocked_keys(20)
                                                                                   .batch(10)
                                                                                   .timeout(std::chrono::seconds{5})
                                                                                   .window(64)
                                                                                   .window_bytes(1024)
                                                                                   .max_pending(1000)
                                                                                   .max_unsaved(32)
                                                                                   .retry_max(std::chrono::seconds{7})
                                                                                   .on_refused(give_up::dead_letter)
                                                                                   .max_dead_letters(3)
                                                                                   .when("ce-type", "order.*")
                                                                                   .when("ce-source", "shop"));
  const auto& settings = orders.settings();
  CHECK(settings.name == "orders");
  CHECK(settings.carry == std::vector<std::string>{"x-*"});
  CHECK(settings.retry.max_attempts == 2);
  CHECK(settings.retry.timeout == retry_settings{}.timeout);
  CHECK(settings.transforms.empty());

  REQUIRE(settings.destinations.size() == 1);
  const auto& billing = settings.destinations[0];
  CHECK(billing.name == "billing");
  CHECK(billing.url == "http://127.0.0.1/billing");
  CHECK(billing.order == delivery_order::key);
  CHECK(billing.connections == 3);
  CHECK(billing.max_blocked_keys == 20);
  CHECK(billing.batch == 10);
  CHECK(billing.timeout == std::chrono::seconds{5});
  CHECK(billing.window == 64);
  CHECK(billing.window_bytes == 1024);
  CHECK(billing.max_pending == 1000);
  CHECK(billing.max_unsaved == 32);
  CHECK(billing.retry_max == std::chrono::seconds{7});
  CHECK(billing.on_refused == give_up::dead_letter);
  CHECK(billing.max_dead_letters == 3);
  CHECK(billing.when == std::map<std::string, std::string>{{"ce-type", "order.*"}, {"ce-source", "shop"}});
  CHECK(billing.transforms.empty());
}

TEST_CASE("a version belongs to the transform before it") {
  const auto composed = pipeline("orders")
                          .transform("first", copy)
                          .version("7")
                          .transform("second", [](std::string s) { return s; })
                          .compose();
  REQUIRE(composed.common.steps().size() == 2);
  CHECK(composed.common.steps()[0].name == "first");
  CHECK(composed.common.steps()[0].version == "7");
  CHECK(composed.common.steps()[1].version.empty());
  CHECK(transform("single", copy).version("8").as_chain().steps().at(0).version == "8");
}

TEST_CASE("transforms and destinations of a pipeline come in any order") {
  const auto composed =
    pipeline("orders").destination("a", "u").transform("first", copy).destination("b", "v").compose();
  CHECK(composed.settings.destinations.size() == 2);
  CHECK(composed.common.steps().size() == 1);
  CHECK(composed.own.empty());
}

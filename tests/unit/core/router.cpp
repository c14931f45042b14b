#include "reseq/core/router.hpp"

#include <stdexcept>

#include "catch.hpp"

using namespace reseq;
using core::router;

namespace {

using ids = std::vector<destination_id>;

ids of(std::initializer_list<std::uint32_t> numbers) {
  ids out;
  for (const auto n : numbers) out.emplace_back(n);
  return out;
}

destination_settings destination(std::string name, std::map<std::string, std::string> when = {}) {
  destination_settings settings;
  settings.name = std::move(name);
  settings.when = std::move(when);
  return settings;
}

/// `all` takes everything, `orders` a type, `big` a type and a size; numbered against the order of the settings.
router example(std::vector<std::string> carry = {"traceparent", "ce-*"}) {
  pipeline_settings pipeline;
  pipeline.name = "shop";
  pipeline.carry = std::move(carry);
  pipeline.destinations = {destination("big", {{"ce-type", "order.*"}, {"X-Size", "[0-9]*"}}),
                           destination("orders", {{"Ce-Type", "order.*"}}), destination("all")};
  return router(pipeline, {{"all", destination_id{1}},
                           {"big", destination_id{3}},
                           {"orders", destination_id{2}},
                           {"left-long-ago", destination_id{4}}});
}

} // namespace

TEST_CASE("a message goes to the destinations all of whose globs match") {
  struct row {
    header_list headers;
    ids wanted;
  };
  const auto [headers, wanted] = GENERATE(values<row>({
    {{}, of({1})},
    {{{"ce-type", "order.created"}}, of({1, 2})},
    {{{"CE-TYPE", "order.created"}, {"x-size", "7"}}, of({1, 2, 3})},
    {{{"ce-type", "order.created"}, {"x-size", "much"}}, of({1, 2})},
    {{{"ce-type", "invoice"}, {"x-size", "7"}}, of({1})},
    {{{"ce-type", "Order.created"}}, of({1})},                         // values are compared with their case
    {{{"ce-type", "order./.a"}}, of({1, 2})},                          // slashes and dots are nothing special
    {{{"ce-type", "preorder.x"}}, of({1})},                            // the whole value, not a part of it
    {{{"ce-type", "invoice"}, {"ce-type", "order.created"}}, of({1})}, // the first of a name counts
  }));
  CHECK(example().route(std::nullopt, headers).value() == wanted);
}

TEST_CASE("an absent header matches no glob, not even a star") {
  pipeline_settings pipeline;
  pipeline.destinations = {destination("a", {{"ce-type", "*"}})};
  const router routes(pipeline, {{"a", destination_id{1}}});
  CHECK(routes.route(std::nullopt, {}).value().empty());
  CHECK(routes.route(std::nullopt, {{"ce-type", ""}}).value() == of({1}));
}

TEST_CASE("requested destinations are taken whatever their globs say, once and in ascending order") {
  CHECK(example().route({{"orders", "big", "orders"}}, {}).value() == of({2, 3}));
  CHECK(example().route(std::vector<std::string>{}, {}).value().empty());
}

TEST_CASE("a requested destination that the pipeline does not have is named in the error") {
  const auto name = GENERATE(as<std::string>{}, "nobody", "left-long-ago", "ALL", "");
  const auto routed = example().route({{"all", name}}, {});
  REQUIRE_FALSE(routed);
  CHECK(routed.error().code == errc::unprocessable);
  CHECK(routed.error().text() == "destinations: the pipeline has no destination '" + name + "'");
}

TEST_CASE("an error does not repeat a megabyte of a name") {
  const auto routed = example().route({{std::string(1 << 20, 'x')}}, {});
  REQUIRE_FALSE(routed);
  CHECK(routed.error().what.size() < 200);
}

TEST_CASE("carried headers are those whose name matches, in their order and as they were written") {
  const header_list headers{
    {"Ce-Type", "a"}, {"Authorization", "b"}, {"TraceParent", "c"}, {"ce", "d"}, {"CE-ID", "e"}};
  CHECK(example().carried(headers) == header_list{{"Ce-Type", "a"}, {"TraceParent", "c"}, {"CE-ID", "e"}});
  CHECK(example({"CE-*"}).carried(headers) == header_list{{"Ce-Type", "a"}, {"CE-ID", "e"}});
  CHECK(example({"*"}).carried(headers) == headers);
  CHECK(example({}).carried(headers).empty());
}

TEST_CASE("a destination without a number is refused when the router is made, not when a message is lost") {
  pipeline_settings pipeline;
  pipeline.destinations = {destination("a")};
  CHECK_THROWS_AS(router(pipeline, {}), std::out_of_range);
}

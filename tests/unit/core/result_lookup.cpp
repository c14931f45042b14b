#include "reseq/core/result_lookup.hpp"

#include <memory>
#include <string>
#include <vector>

#include "catch.hpp"

namespace {

using namespace reseq;
using namespace reseq::core;

work_key key(std::uint64_t at) { return {position{at}, chain_index{}}; }

work_request work(std::uint64_t at) {
  return {position{at}, chain_index{}, std::make_shared<const message>("m" + std::to_string(at), "", content{}), false,
          asking{static_cast<std::uint32_t>(10 + at)}};
}

stored_result found(std::uint64_t at, const std::string& message_id) {
  return {key(at), message_id, {std::make_shared<const content>(), {}}};
}

result_lookup knowing(const std::vector<work_key>& keys) {
  result_lookup lookup;
  CHECK(lookup.found(keys).empty());
  return lookup;
}

std::vector<std::uint64_t> positions(const std::vector<work_request>& all) {
  std::vector<std::uint64_t> out;
  for (const auto& one : all) out.push_back(one.at.value());
  return out;
}

} // namespace

TEST_CASE("all work waits until it is known what was found") {
  result_lookup lookup;
  std::vector<work_request> wanted{work(1), work(2), work(3)};
  lookup.want(wanted);
  CHECK(wanted.empty());
  CHECK(lookup.ask(10).empty());
  std::vector<work_key> withdrawn{key(3)};
  lookup.withdraw(withdrawn);
  CHECK(withdrawn.empty());
  CHECK(positions(lookup.found({key(2), key(4)})) == std::vector<std::uint64_t>{1});
  CHECK(lookup.ask(10) == std::vector{key(2)});
  CHECK(lookup.filled() == std::vector{key(4)});
}

TEST_CASE("only work whose result was found is looked up first") {
  auto lookup = knowing({key(2), key(3)});
  std::vector<work_request> wanted{work(1), work(2), work(4)};
  lookup.want(wanted);
  CHECK(positions(wanted) == std::vector<std::uint64_t>{1, 4});
  CHECK(lookup.ask(10) == std::vector{key(2)});
  CHECK(lookup.ask(10).empty()); // one at a time

  std::vector<work_request> again{work(2)};
  lookup.want(again);
  CHECK(positions(again) == std::vector<std::uint64_t>{2}); // it is not asked for twice
}

TEST_CASE("a result is adopted if it names the message at that position, and no other") {
  auto lookup = knowing({key(1), key(2), key(3)});
  std::vector<work_request> wanted{work(1), work(2), work(3)};
  lookup.want(wanted);
  CHECK(wanted.empty());
  CHECK(lookup.ask(10).size() == 3);
  const auto outcome = lookup.loaded({found(1, "m1"), found(2, "m1"), found(9, "m9")});
  REQUIRE(outcome.adopted.size() == 1);
  CHECK(outcome.adopted[0].at == position{1});
  CHECK(outcome.adopted[0].asked == asking{11});
  CHECK(positions(outcome.work) == std::vector<std::uint64_t>{2, 3});
  CHECK(outcome.worthless == std::vector{key(2), key(3)});
}

TEST_CASE("results are asked for some at a time") {
  auto lookup = knowing({key(1), key(2), key(3)});
  std::vector<work_request> wanted{work(1), work(2), work(3)};
  lookup.want(wanted);
  CHECK(lookup.ask(2) == std::vector{key(1), key(2)});
  CHECK(lookup.loaded({found(1, "m1"), found(2, "m2")}).adopted.size() == 2);
  CHECK(lookup.ask(2) == std::vector{key(3)});
}

TEST_CASE("work that is withdrawn meanwhile is neither adopted nor done") {
  auto lookup = knowing({key(1), key(2)});
  std::vector<work_request> wanted{work(1), work(2)};
  lookup.want(wanted);
  CHECK(lookup.ask(10).size() == 2);
  std::vector<work_key> withdrawn{key(1), key(7)};
  lookup.withdraw(withdrawn);
  CHECK(withdrawn == std::vector{key(7)});
  const auto outcome = lookup.loaded({found(1, "m1")});
  CHECK(outcome.adopted.empty());
  CHECK(positions(outcome.work) == std::vector<std::uint64_t>{2});
  CHECK(outcome.worthless == std::vector{key(1), key(2)});
}

TEST_CASE("what becomes a head while it is looked up is a head's work afterwards") {
  auto lookup = knowing({key(1)});
  std::vector<work_request> wanted{work(1)};
  lookup.want(wanted);
  CHECK(lookup.ask(10).size() == 1);
  std::vector<work_key> heads{key(1), key(7)};
  lookup.head(heads);
  CHECK(heads == std::vector{key(7)});
  const auto outcome = lookup.loaded({});
  REQUIRE(outcome.work.size() == 1);
  CHECK(outcome.work[0].head);
}

TEST_CASE("without an answer everything that is looked up is work") {
  auto lookup = knowing({key(1), key(2), key(3), key(4)});
  std::vector<work_request> wanted{work(1), work(2), work(3)};
  lookup.want(wanted);
  CHECK(lookup.ask(2).size() == 2);
  std::vector<work_key> withdrawn{key(2)};
  lookup.withdraw(withdrawn);
  const auto outcome = lookup.failed();
  CHECK(positions(outcome.work) == std::vector<std::uint64_t>{1, 3});
  CHECK(outcome.worthless == std::vector{key(1), key(3), key(2)});
  CHECK(lookup.ask(2).empty());
}

TEST_CASE("what nobody wanted by the time that every window is full, nobody will") {
  auto lookup = knowing({key(1), key(2)});
  std::vector<work_request> wanted{work(2)};
  lookup.want(wanted);
  CHECK(lookup.filled() == std::vector{key(1)});
  CHECK(lookup.filled().empty());
  std::vector<work_request> later{work(1)};
  lookup.want(later);
  CHECK(later.size() == 1);
}

#include "reseq/core/sequencer.hpp"

#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>

#include "catch.hpp"

namespace reseq::core {

namespace {

submission submit(const std::string& id, const std::vector<std::uint32_t>& routes, std::uint8_t content = 0) {
  submission out;
  out.message = std::make_shared<const message>(id, "", reseq::content{});
  out.fingerprint[0] = content;
  for (const auto route : routes) out.routes.emplace_back(route);
  return out;
}

heads two_destinations(std::uint64_t limit = 100) {
  heads now;
  now.last = position{10};
  now.destinations[destination_id{1}] = {"one", sequence{5}, sequence{limit}};
  now.destinations[destination_id{2}] = {"two", sequence{0}, sequence{limit}};
  return now;
}

/// The same rules, written the slow and obvious way: one submission at a time on whole copies.
struct model {
  heads now;
  std::map<std::string, known_id> ids;

  result<receipt> accept(const submission& wanted) {
    const auto& id = wanted.message->id();
    if (const auto it = ids.find(id); it != ids.end()) {
      if (it->second.fingerprint != wanted.fingerprint) return fail(errc::unprocessable, "");
      return receipt{id, true, it->second.at};
    }
    for (const auto route : wanted.routes)
      if (now.destinations.at(route).last >= now.destinations.at(route).limit) return fail(errc::full, "");
    position at;
    if (!wanted.routes.empty()) at = ++now.last;
    for (const auto route : wanted.routes) ++now.destinations.at(route).last;
    ids[id] = {at, wanted.fingerprint};
    return receipt{id, false, at};
  }
};

} // namespace

TEST_CASE("new messages get the next position and the next sequence of each of their destinations") {
  const std::vector<submission> batch{submit("a", {1, 2}), submit("b", {2})};
  auto now = two_destinations();
  const auto out = sequence_batch(now, batch, {});
  CHECK(out.receipts[0] == receipt{"a", false, position{11}});
  CHECK(out.receipts[1] == receipt{"b", false, position{12}});
  REQUIRE(out.accepted.size() == 2);
  CHECK(out.accepted[0].enrolled ==
        std::vector<enrolment>{{destination_id{1}, sequence{6}}, {destination_id{2}, sequence{1}}});
  CHECK(out.accepted[1].enrolled == std::vector<enrolment>{{destination_id{2}, sequence{2}}});
  CHECK(out.accepted_from == std::vector<std::size_t>{0, 1});
  now.take(out.next);
  CHECK(now.last == position{12});
  CHECK(now.destinations[destination_id{1}].last == sequence{6});
  CHECK(now.destinations[destination_id{2}].last == sequence{2});
}

TEST_CASE("a known id gets its first receipt, or is refused with other content") {
  const std::unordered_map<std::string, known_id> known{{"a", {position{3}, {}}}};
  const std::vector<submission> batch{submit("a", {1}), submit("a", {1}, 9)};
  const auto out = sequence_batch(two_destinations(), batch, known);
  CHECK(out.receipts[0] == receipt{"a", true, position{3}});
  CHECK(out.receipts[1].error().code == errc::unprocessable);
  CHECK(out.accepted.empty());
  CHECK(out.next.last == position{10});
}

TEST_CASE("what can only be the same message again is refused, unless it is") {
  auto gone = submit("a", {});
  gone.only_again = error{errc::unprocessable, "the pipeline has no destination 'x'", "destinations"};
  auto other = submit("b", {});
  other.only_again = gone.only_again;
  const auto out = sequence_batch(two_destinations(), std::vector{gone, other}, {{"a", {position{3}, {}}}});
  CHECK(out.receipts[0] == receipt{"a", true, position{3}});
  REQUIRE_FALSE(out.receipts[1].has_value());
  CHECK(out.receipts[1].error().what == gone.only_again->what);
  CHECK(out.accepted.empty());
  CHECK(out.unrouted.empty());
}

TEST_CASE("a message past a limit is refused whole, and only what needs that destination") {
  const std::vector<submission> batch{submit("a", {1}), submit("b", {1, 2}), submit("c", {2}), submit("b", {1, 2})};
  const auto out = sequence_batch(two_destinations(6), batch, {});
  CHECK(out.receipts[0].has_value());
  REQUIRE_FALSE(out.receipts[1].has_value());
  CHECK(out.receipts[1].error().code == errc::full);
  CHECK(out.receipts[1].error().text().find("one") != std::string::npos);
  CHECK(out.receipts[2] == receipt{"c", false, position{12}});
  CHECK_FALSE(out.receipts[3].has_value());
  CHECK(out.accepted[1].enrolled == std::vector<enrolment>{{destination_id{2}, sequence{1}}});
}

TEST_CASE("a message without routes has no place, and a route that does not exist is refused") {
  const std::vector<submission> batch{submit("a", {}), submit("a", {}), submit("b", {7})};
  const auto out = sequence_batch(two_destinations(), batch, {});
  CHECK(out.receipts[0] == receipt{"a", false, position{}});
  CHECK(out.receipts[1] == receipt{"a", true, position{}});
  CHECK(out.receipts[2].error().code == errc::unprocessable);
  CHECK(out.unrouted == std::vector<std::size_t>{0});
}

TEST_CASE("batches of any cut give the same places as one message at a time") {
  const char* given = std::getenv("RESEQ_TEST_SEED");
  const std::uint64_t first_seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  for (std::uint64_t seed = first_seed; seed < first_seed + (given != nullptr ? 1 : 300); ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    model slow{two_destinations(5 + random() % 40), {}};
    heads now = slow.now;
    for (int round = 0; round < 12; ++round) {
      std::vector<submission> batch;
      std::unordered_map<std::string, known_id> known;
      for (std::uint64_t i = random() % 9; i > 0; --i) {
        const std::vector<std::vector<std::uint32_t>> routes{{}, {1}, {2}, {1, 2}};
        batch.push_back(submit("m" + std::to_string(random() % 60), routes[random() % 4],
                               static_cast<std::uint8_t>(random() % 8 == 0)));
        const auto& id = batch.back().message->id();
        if (const auto it = slow.ids.find(id); it != slow.ids.end()) known[id] = it->second;
      }
      const auto out = sequence_batch(now, batch, known);
      REQUIRE(out.receipts.size() == batch.size());
      for (std::size_t i = 0; i < batch.size(); ++i) {
        const auto expected = slow.accept(batch[i]);
        REQUIRE(out.receipts[i].has_value() == expected.has_value());
        if (expected) {
          REQUIRE(*out.receipts[i] == *expected);
        } else {
          REQUIRE(out.receipts[i].error().code == expected.error().code);
        }
      }
      now.take(out.next);
      REQUIRE(now.last == slow.now.last);
      for (const auto& [id, destination] : slow.now.destinations)
        REQUIRE(now.destinations[id].last == destination.last);
      for (std::size_t i = 0; i < out.accepted.size(); ++i)
        REQUIRE(out.accepted[i].message == batch[out.accepted_from[i]].message);
    }
  }
}

} // namespace reseq::core

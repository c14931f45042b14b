#include "catch.hpp"
#include "reseq/store/journal.hpp"

using namespace reseq;
using namespace reseq::store;

namespace {

recovery_findings findings(std::uint64_t owner_seen, std::uint64_t position_seen,
                           const std::vector<std::pair<std::uint64_t, std::uint64_t>>& destinations) {
  recovery_findings found{epoch{3}, epoch{owner_seen}, position{10}, position{position_seen}, {}};
  for (const auto& [assigned, seen] : destinations)
    found.destinations.push_back(
      {destination_id{static_cast<std::uint32_t>(found.destinations.size() + 1)}, sequence{assigned}, sequence{seen}});
  return found;
}

core::sequence_range missing(const recovery& how, std::uint32_t destination) {
  for (const auto& one : how.missing)
    if (one.destination == destination_id{destination}) return one.range;
  return {};
}

core::sequence_range range(std::uint64_t first, std::uint64_t last) { return {sequence{first}, sequence{last}}; }

} // namespace

TEST_CASE("a recovery goes past the latest epoch, position and sequences that were seen") {
  const auto how = plan_recovery(findings(7, 40, {{10, 25}, {4, 4}}), "why");
  REQUIRE(how);
  CHECK(how->owner == epoch{8});
  CHECK(how->last == position{40});
  CHECK(missing(*how, 1) == range(11, 40));
  CHECK(missing(*how, 2) == range(5, 34));
  CHECK(how->why == "why");
}

TEST_CASE("a recovery that takes over what another journal recorded needs not be behind of it") {
  auto found = findings(3, 0, {{5, 5}});
  CHECK_FALSE(plan_recovery(found, "why"));
  found.takes_over = true;
  const auto how = plan_recovery(found, "why");
  REQUIRE(how);
  CHECK(how->owner == epoch{4});
  CHECK(how->last == position{10});
  CHECK(how->missing.empty());
}

TEST_CASE("there were at least as many positions as one destination has sequences too many") {
  const auto how = plan_recovery(findings(2, 12, {{5, 25}, {4, 9}}), "why");
  REQUIRE(how);
  CHECK(how->owner == epoch{4});
  CHECK(how->last == position{30});
  CHECK(missing(*how, 1) == range(6, 25));
  CHECK(missing(*how, 2) == range(5, 24));
}

TEST_CASE("a destination may have got a sequence for each position, whatever else was seen of it") {
  const auto how = plan_recovery(findings(3, 0, {{5, 25}, {4, 0}, {8, 2}, {8, 20}}), "why");
  REQUIRE(how);
  CHECK(missing(*how, 2) == range(5, 24));
  CHECK(missing(*how, 3) == range(9, 28));
  CHECK(missing(*how, 4) == range(9, 28));
}

TEST_CASE("a destination that keeps itself what it got has got nothing later") {
  auto found = findings(3, 0, {{5, 25}, {8, 12}, {8, 0}});
  found.destinations[1].keeps_itself = found.destinations[2].keeps_itself = true;
  const auto how = plan_recovery(found, "why");
  REQUIRE(how);
  CHECK(missing(*how, 1) == range(6, 25));
  CHECK(missing(*how, 2) == range(9, 12));
  CHECK(missing(*how, 3) == core::sequence_range{});
}

TEST_CASE("a later epoch alone moves the epoch alone, and without anything there is nothing to do") {
  const auto how = plan_recovery(findings(4, 3, {{5, 5}, {4, 0}}), "why");
  REQUIRE(how);
  CHECK(how->owner == epoch{5});
  CHECK(how->last == position{10});
  CHECK(how->missing.empty());
  CHECK(plan_recovery(findings(3, 3, {{5, 5}, {4, 0}}), "why").error().code == errc::conflict);
}

TEST_CASE("what receivers lack that have gone back goes along, and is enough for a recovery") {
  auto found = findings(0, 0, {{10, 0}, {4, 0}});
  CHECK_FALSE(plan_recovery(found, "why"));
  core::progress_record back{destination_id{2}, sequence{1}, {}, sequence{1}};
  found.back = {{back}, {{destination_id{2}, range(2, 3)}}, "it has gone back"};
  const auto how = plan_recovery(found, "why");
  REQUIRE(how);
  CHECK(how->owner == epoch{4});
  CHECK(how->last == position{10});
  CHECK(how->rewound == std::vector{back});
  CHECK(how->missing.size() == 1);
  CHECK(missing(*how, 2) == range(2, 3));
}

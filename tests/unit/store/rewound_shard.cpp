// A destination that went back further than retention reaches, as the shard goes on with it.

#include <vector>

#include "catch.hpp"
#include "journal_fixture.hpp"
#include "reseq/core/shard.hpp"
#include "reseq/store/receiver_survey.hpp"
#include "reseq/store/sqlite/sqlite_journal.hpp"

using namespace reseq;
using namespace reseq::test;

namespace {

constexpr destination_id one{1};

core::held_record gave_up(std::uint64_t seq) {
  return {one, sequence{seq}, position{seq}, core::hold_reason::refused, 1, "no", at_ms(3)};
}

/// Ten messages; up to 8 all is settled, `dead` by giving up, and up to 5 all is past retention.
void fill(opened& shard, const std::vector<std::uint64_t>& dead) {
  must(shard.commit(submit_many("m", 1, 10)));
  core::journal_change change;
  change.progress.push_back({one, sequence{8}, {}, sequence{8}});
  for (const auto seq : dead) change.dead_letters.push_back(gave_up(seq));
  must(shard.commit({}, change));
  shard.state = must(shard->open({"orders", 0}, {"{}"}, specs(1)));
  REQUIRE(must(shard->expire(shard.state.handle, at_ms(5000), at_ms(10'000), 5)) == 5);
}

/// As the supervisor does for an operator.
void recover(opened& shard, std::uint64_t has) {
  const std::vector<store::receiver_seen> seen{{one, {epoch{1}, sequence{has}, ""}}};
  auto back = must(store::plan_rewinding(*shard, shard.state, seen));
  auto found = must(shard->findings(shard.state.handle));
  found.back = std::move(back);
  const auto how = must(store::plan_recovery(found, "why"));
  if (const auto done = shard->recover(shard.state.handle, how, at_ms(7)); !done) FAIL(done.error().text());
  shard.state = must(shard->open({"orders", 0}, {"{}"}, specs(1)));
}

core::shard start(const store::shard_state& state) {
  const auto& known = state.destinations[0];
  core::destination_setup lane;
  lane.id = one;
  lane.settings.name = "d1";
  lane.last = known.last;
  lane.progress = known.progress;
  for (const auto& lost : known.lost) lane.lost.push_back(lost.range);
  return {{std::move(lane)}, give_up::hold, 1, time_point{}};
}

} // namespace

TEST_CASE("what a receiver lacks past retention is passed over, whatever had been given up there") {
  const auto dead = GENERATE(std::vector<std::uint64_t>{}, std::vector<std::uint64_t>{4}, std::vector<std::uint64_t>{3},
                             std::vector<std::uint64_t>{3, 7}, std::vector<std::uint64_t>{5});
  CAPTURE(dead);
  const scratch_directory place;
  opened shard(must(store::sqlite::open_sqlite(place.path())), specs(1));
  fill(shard, dead);
  recover(shard, 2);
  CHECK(shard.state.destinations[0].backlog() == (dead == std::vector<std::uint64_t>{3, 7} ? 4 : 5));
  auto tested = start(shard.state);
  const auto todo = tested.take();
  REQUIRE(todo.reads.size() == 1);
  CHECK(todo.reads[0].from == sequence{6});
  REQUIRE(todo.save);
  CHECK(todo.save->progress[0].watermark == sequence{5});
  for (const auto seq : todo.save->progress[0].above) CHECK(seq > sequence{6});
}

TEST_CASE("what is lost once more is no other loss") {
  const scratch_directory place;
  opened shard(must(store::sqlite::open_sqlite(place.path())), specs(1));
  fill(shard, {});
  recover(shard, 2);
  shard.settle(1, 10);
  shard.state = must(shard->open({"orders", 0}, {"{}"}, specs(1)));
  REQUIRE(must(shard->expire(shard.state.handle, at_ms(5000), at_ms(10'000), 2)) == 2); // 6 and 7
  recover(shard, 2);
  CHECK(shard.state.destinations[0].backlog() == 3);
  auto tested = start(shard.state);
  const auto todo = tested.take();
  REQUIRE(todo.reads.size() == 1);
  CHECK(todo.reads[0].from == sequence{8});
}

TEST_CASE("what is past retention is missed only if it was to be delivered") {
  const scratch_directory place;
  opened shard(must(store::sqlite::open_sqlite(place.path())), specs(1));
  fill(shard, {3, 4, 5, 7});
  const std::vector<store::receiver_seen> seen{{one, {epoch{1}, sequence{2}, ""}}};
  const auto back = must(store::plan_rewinding(*shard, shard.state, seen));
  CHECK(back.missing.empty());
  REQUIRE(back.progress.size() == 1);
  CHECK(back.progress[0].watermark == sequence{5});
  CHECK(back.progress[0].above == std::vector{sequence{7}});
}

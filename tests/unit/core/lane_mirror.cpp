#include "reseq/core/lane_mirror.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>

#include "catch.hpp"
#include "lane_mirror_world.hpp"
#include "reseq/core/lane_store.hpp"

namespace {

using namespace reseq;
using namespace reseq::core;
using namespace std::chrono_literals;

constexpr destination_id billing{1};
constexpr auto unlimited = sequence{~std::uint64_t{0}};

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::uint64_t count(const lane_mirror& mirror, drift why) { return mirror.drifts()[static_cast<std::size_t>(why)]; }

error away() { return {errc::unavailable, "away", {}}; }

/// One lane, its mirror and a resequencer that does what it should.
struct mirrored_shard {
  explicit mirrored_shard(bool releases = true) : mirror({{billing, sequence{1}, releases, {}}}, 200ms) {}

  std::optional<mirror_call> call() { return mirror.take(now).call; }
  void answer(const mirror_call& what) {
    if (what.updates)
      mirror.answered(what.id, *store.apply(epoch{1}, *what.updates), now);
    else
      mirror.opened(what.id, *store.open(epoch{1}, std::vector<lane_name>{{billing, "billing"}}), now);
  }
  /// Answers calls until there is none.
  void settle_down() {
    for (auto next = call(); next; next = call()) answer(*next);
  }
  void admit(std::uint64_t first, std::uint64_t last) {
    for (auto seq = first; seq <= last; ++seq) mirror.admitted(billing, sequence{seq});
  }

  time_point now{1h};
  lane_mirror mirror;
  lane_store store;
};

stored_result result_at(std::uint64_t at) {
  return {{position{at}, chain_index{}}, "m" + std::to_string(at), {std::make_shared<const content>(), {}}};
}

} // namespace

TEST_CASE("memory releases until the resequencer has been told the window, then the resequencer does") {
  mirrored_shard shard;
  shard.admit(1, 3);
  CHECK(shard.mirror.limit(billing) == unlimited);
  shard.settle_down();
  CHECK(shard.mirror.follows(billing));
  CHECK(shard.mirror.limit(billing) == sequence{1});

  shard.mirror.finished(billing, sequence{2});
  shard.settle_down();
  CHECK(shard.mirror.limit(billing) == sequence{1});
  shard.mirror.finished(billing, sequence{1});
  const auto call = shard.call();
  CHECK(shard.mirror.limit(billing) == sequence{1});
  shard.answer(*call);
  CHECK(shard.mirror.take(shard.now).moved == std::vector{billing});
  CHECK(shard.mirror.limit(billing) == sequence{3});
}

TEST_CASE("what happens during a call is in the next one") {
  mirrored_shard shard;
  shard.settle_down();
  shard.admit(1, 2);
  const auto first = shard.call();
  shard.mirror.finished(billing, sequence{1});
  shard.mirror.settled(billing, sequence{2});
  CHECK_FALSE(shard.call());
  shard.answer(*first);
  const auto second = shard.call();
  REQUIRE(second);
  CHECK(second->updates->lanes.at(0).step == lane_step{3});
  CHECK(second->updates->lanes.at(0).ready == std::vector{sequence{1}});
  CHECK(second->updates->lanes.at(0).settled == std::vector{sequence{2}});
  shard.answer(*second);
  CHECK(shard.mirror.limit(billing) == sequence{3});
  CHECK_FALSE(shard.call());
}

TEST_CASE("what was released is not spoken of when it is settled") {
  mirrored_shard shard;
  shard.admit(1, 1);
  shard.settle_down();
  shard.mirror.finished(billing, sequence{1});
  shard.settle_down();
  shard.mirror.settled(billing, sequence{1});
  CHECK_FALSE(shard.call());
}

TEST_CASE("an answer that does not come in time sets everything adrift, and its lateness changes nothing") {
  mirrored_shard shard;
  shard.admit(1, 2);
  shard.settle_down();
  shard.mirror.finished(billing, sequence{1});
  const auto late = shard.call();
  CHECK(shard.mirror.wakeup() == shard.now + 200ms);
  shard.now += 199ms;
  shard.mirror.tick(shard.now);
  CHECK(shard.mirror.follows(billing));
  shard.now += 1ms;
  shard.mirror.tick(shard.now);
  CHECK(shard.mirror.limit(billing) == unlimited);
  CHECK(count(shard.mirror, drift::silence) == 1);
  CHECK_FALSE(shard.call()); // whoever carries it is busy with the late one
  shard.answer(*late);
  CHECK(shard.mirror.late_answers() == 1);
  CHECK(shard.mirror.limit(billing) == unlimited);

  shard.now += 1s;
  const auto anew = shard.call();
  REQUIRE(anew);
  CHECK(anew->updates->lanes.at(0).version == lane_version{2});
  CHECK(anew->updates->lanes.at(0).step == lane_step{1});
  CHECK(anew->updates->lanes.at(0).admitted == std::vector{sequence{2}});
  shard.answer(*anew);
  CHECK(shard.mirror.follows(billing));
}

TEST_CASE("when one lane's mark is gone, lanes that have nothing to say are told anew, too, with how far they are") {
  lane_mirror mirror({{billing, sequence{1}, true, {}}, {destination_id{2}, sequence{8}, true, sequence{7}}}, 200ms);
  const auto names = std::vector<lane_name>{{billing, "billing"}, {destination_id{2}, "idle"}};
  lane_store store;
  const auto carry = [&] {
    for (auto next = mirror.take(time_point{}).call; next; next = mirror.take(time_point{}).call)
      next->updates ? mirror.answered(next->id, *store.apply(epoch{1}, *next->updates), time_point{})
                    : static_cast<void>(mirror.opened(next->id, *store.open(epoch{1}, names), time_point{}));
  };
  mirror.admitted(billing, sequence{1});
  carry();
  store = {};
  mirror.finished(billing, sequence{1});
  carry();
  CHECK(store.look(names).lanes ==
        std::vector<lanes_found::lane>{{billing, sequence{1}}, {destination_id{2}, sequence{7}}});
  CHECK((mirror.follows(billing) && mirror.follows(destination_id{2})));
  CHECK(count(mirror, drift::version) == 1);
}

TEST_CASE("a release that differs sets the lane adrift") {
  mirrored_shard shard;
  shard.admit(1, 3);
  shard.settle_down();
  shard.mirror.finished(billing, sequence{1});
  const auto call = shard.call();
  auto answers = *shard.store.apply(epoch{1}, *call->updates);
  SECTION("too much") { answers.lanes[0].released.push_back(sequence{2}); }
  SECTION("too little") { answers.lanes[0].released.clear(); }
  SECTION("another number pending") { ++answers.lanes[0].pending; }
  SECTION("another number ready") { ++answers.lanes[0].ready; }
  shard.mirror.answered(call->id, answers, shard.now);
  CHECK(count(shard.mirror, drift::contents) == 1);
  CHECK(shard.mirror.limit(billing) == unlimited);
  shard.settle_down();
  CHECK(shard.mirror.follows(billing));
}

TEST_CASE("a resequencer that lost everything is told everything") {
  mirrored_shard shard;
  shard.admit(1, 3);
  shard.mirror.keep(result_at(7));
  shard.settle_down();
  shard.store = {};
  shard.mirror.finished(billing, sequence{2});
  shard.settle_down();
  CHECK(count(shard.mirror, drift::version) == 1);
  CHECK(count(shard.mirror, drift::results) == 1);
  CHECK(shard.mirror.follows(billing));
  CHECK(shard.store.load(std::vector{result_at(7).key}).size() == 1);
  shard.mirror.finished(billing, sequence{1});
  shard.settle_down();
  CHECK(shard.mirror.limit(billing) == sequence{3});
}

TEST_CASE("while it is away nobody waits, nothing collects, and it is asked less and less often") {
  mirrored_shard shard;
  shard.settle_down();
  std::vector<duration> waits;
  for (int failures = 0; failures < 10; ++failures) {
    shard.admit(static_cast<std::uint64_t>(failures) + 1, static_cast<std::uint64_t>(failures) + 1);
    const auto call = shard.call();
    REQUIRE(call);
    shard.mirror.failed(call->id, away(), shard.now);
    CHECK(shard.mirror.limit(billing) == unlimited);
    CHECK_FALSE(shard.call());
    waits.push_back(*shard.mirror.wakeup() - shard.now);
    shard.now = *shard.mirror.wakeup();
  }
  CHECK(waits.front() == 50ms);
  CHECK(waits[1] == 100ms);
  CHECK(waits.back() == 5s);
  CHECK(count(shard.mirror, drift::silence) == 1);
  shard.settle_down();
  CHECK(shard.mirror.follows(billing));
  CHECK_FALSE(shard.mirror.wakeup());
}

TEST_CASE("a later owner is reported, and memory goes on until the journal has been asked") {
  mirrored_shard shard;
  shard.admit(1, 1);
  shard.settle_down();
  shard.mirror.finished(billing, sequence{1});
  shard.mirror.failed(shard.call()->id, {errc::fenced, "a later owner", {}}, shard.now);
  CHECK(shard.mirror.take(shard.now).check_epoch);
  CHECK_FALSE(shard.mirror.take(shard.now).check_epoch);
  CHECK(shard.mirror.limit(billing) == unlimited);
}

TEST_CASE("with order by key the owner releases, and the resequencer keeps what it is told") {
  mirrored_shard shard(false);
  shard.admit(1, 4);
  shard.settle_down();
  shard.mirror.finished(billing, sequence{3});
  shard.mirror.finished(billing, sequence{1});
  shard.settle_down();
  CHECK(shard.mirror.follows(billing));
  CHECK(shard.mirror.limit(billing) == unlimited);
  shard.mirror.settled(billing, sequence{3});
  shard.settle_down();
  shard.mirror.settled(billing, sequence{1});
  shard.settle_down();
  CHECK(shard.mirror.follows(billing));
  CHECK(count(shard.mirror, drift::contents) == 0);
}

TEST_CASE("a result is stored once, and deleted when nobody needs it; one that is not needed any more is not stored") {
  mirrored_shard shard;
  shard.settle_down();
  shard.mirror.keep(result_at(1));
  shard.mirror.keep(result_at(2));
  shard.mirror.unneeded(result_at(2).key);
  auto call = shard.call();
  REQUIRE(call);
  REQUIRE(call->updates->results.size() == 1);
  CHECK(call->updates->unneeded.empty());
  shard.answer(*call);
  shard.mirror.keep(result_at(1));
  CHECK_FALSE(shard.call());
  shard.mirror.unneeded(result_at(1).key);
  call = shard.call();
  REQUIRE(call);
  CHECK(call->updates->unneeded == std::vector{result_at(1).key});
  shard.answer(*call);
  CHECK(count(shard.mirror, drift::results) == 0);
}

TEST_CASE("what an owner before left is deleted when it is said to be unneeded, and not stored when it is kept") {
  mirrored_shard shard;
  lane_updates left;
  left.results = {result_at(1), result_at(2)};
  CHECK(shard.store.apply(epoch{1}, left).has_value());
  shard.settle_down();
  shard.mirror.keep(result_at(1));
  CHECK_FALSE(shard.call());
  shard.mirror.unneeded(result_at(2).key);
  shard.settle_down();
  CHECK(shard.store.load(std::vector{result_at(1).key, result_at(2).key}).size() == 1);
  CHECK(count(shard.mirror, drift::results) == 0);
}

TEST_CASE("a result that is made anew before the old one is deleted takes its place") {
  mirrored_shard shard;
  shard.settle_down();
  shard.mirror.keep(result_at(1));
  shard.settle_down();
  shard.mirror.unneeded(result_at(1).key);
  auto anew = result_at(1);
  anew.done.only_to = std::vector{billing};
  shard.mirror.keep(anew);
  shard.settle_down();
  const auto found = shard.store.load(std::vector{anew.key});
  REQUIRE(found.size() == 1);
  CHECK(found[0].done.only_to == anew.done.only_to);
  CHECK(count(shard.mirror, drift::results) == 0);

  shard.mirror.unneeded(anew.key);
  shard.settle_down();
  CHECK(shard.store.load(std::vector{anew.key}).empty());
  CHECK(count(shard.mirror, drift::results) == 0);
}

TEST_CASE("a lane that is wider than a call may be is told anew in several, and released as they come") {
  mirrored_shard shard;
  shard.admit(1, 25'000);
  for (std::uint64_t seq = 1; seq <= 24'999; ++seq) shard.mirror.finished(billing, sequence{seq});
  std::vector<std::size_t> told;
  const auto tell = [&] {
    told.clear();
    for (auto next = shard.call(); next; next = shard.call()) {
      if (next->updates) told.push_back(next->updates->lanes.at(0).admitted.size());
      shard.answer(*next);
    }
  };
  tell();
  CHECK(told == std::vector<std::size_t>{1}); // memory has released the others meanwhile
  shard.admit(25'001, 50'000);
  shard.mirror.finished(billing, sequence{25'000});
  tell();
  CHECK(told == std::vector<std::size_t>{10'000, 10'000, 5'000});
  CHECK(shard.mirror.limit(billing) == sequence{25'001});

  shard.store = {};
  shard.mirror.finished(billing, sequence{40'000});
  tell();
  CHECK(told == std::vector<std::size_t>{0, 10'000, 10'000, 5'000});
  CHECK(shard.mirror.follows(billing));
  CHECK(shard.store.sequences() == 25'000 + 1);
  CHECK(count(shard.mirror, drift::version) == 1);
}

TEST_CASE("many lanes are told anew a part at a time, and each in one piece") {
  std::vector<mirrored_lane> lanes;
  for (std::uint32_t id = 1; id <= 30; ++id) lanes.push_back({destination_id{id}, sequence{1}, true, {}});
  lane_mirror mirror(lanes, 200ms);
  for (const auto& one : lanes)
    for (std::uint64_t seq = 1; seq <= 1024; ++seq) mirror.admitted(one.destination, sequence{seq});
  time_point now{1h};
  lane_store store;
  mirror.opened(mirror.take(now).call->id, *store.open(epoch{1}, {}), now);
  std::size_t calls = 0;
  std::size_t told = 0;
  for (auto call = mirror.take(now).call; call; call = mirror.take(now).call) {
    ++calls;
    told += call->updates->lanes.size();
    for (const auto& one : call->updates->lanes) CHECK(one.admitted.size() == 1024);
    CHECK(call->updates->lanes.size() < 11);
    mirror.answered(call->id, *store.apply(epoch{1}, *call->updates), now);
  }
  CHECK(calls == 4);
  CHECK(told == 30);
}

TEST_CASE("whatever the resequencer does, deliveries go on in time, and in the end every lane follows") {
  const auto first = from_environment("RESEQ_TEST_SEED", 1);
  const auto rounds = from_environment("RESEQ_TEST_ROUNDS", 2000);
  std::array<std::uint64_t, drift_kinds> drifts{};
  for (auto seed = first; seed < first + rounds; ++seed) {
    CAPTURE(seed);
    test::lane_mirror_world world(seed);
    for (int steps = 0; steps < 300 && world.violation().empty(); ++steps) world.step();
    if (world.violation().empty()) world.recover_and_finish();
    REQUIRE(world.violation() == "");
    for (std::size_t i = 0; i < drift_kinds; ++i) drifts[i] += world.mirror().drifts()[i];
  }
  if (rounds < 100) return;
  for (const auto each : drifts) CHECK(each > rounds / 100); // else nothing was tried
}

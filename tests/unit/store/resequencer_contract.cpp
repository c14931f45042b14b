#include "resequencer_contract.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "journal_fixture.hpp"
#include "resequencer_fixture.hpp"

namespace reseq::test {

namespace {

constexpr auto greatest = core::greatest_sequence.value();

std::vector<std::string> ids(std::vector<core::stored_result> found) {
  std::vector<std::string> out;
  for (auto& one : found) out.push_back(std::move(one.message_id));
  std::ranges::sort(out);
  return out;
}

bool disagrees(const result<core::lane_answers>& answers) {
  return answers && answers->lanes.size() == 1 && answers->lanes.front() == core::lane_answer{};
}

} // namespace

void check_release(const place_factory& make) {
  const auto place = make();
  lane_owner owner(place->access(), 1);
  SECTION("the head run is released, and only that") {
    const auto answer = owner.must_apply(step(1, 1, 1, range(1, 6), {1, 2, 4, 6}));
    CHECK(numbers(answer.released) == sequence_list{1, 2});
    CHECK(answer.pending == 4);
    CHECK(answer.ready == 2);
  }
  SECTION("results out of order wait for those before them") {
    CHECK(owner.must_apply(step(1, 1, 1, range(1, 5), {5, 3, 2})).released.empty());
    CHECK(numbers(owner.must_apply(step(1, 1, 2, {}, {1})).released) == range(1, 3));
    CHECK(numbers(owner.must_apply(step(1, 1, 3, {}, {4})).released) == range(4, 5));
  }
  SECTION("what is settled otherwise leaves a gap, and frees what waits behind it") {
    CHECK(owner.must_apply(step(1, 1, 1, range(1, 5), {2, 3, 5})).released.empty());
    const auto answer = owner.must_apply(step(1, 1, 2, {}, {}, {1, 3, 4}));
    CHECK(numbers(answer.released) == sequence_list{2, 5});
    CHECK(answer.pending == 0);
    CHECK(answer.ready == 0);
  }
  SECTION("one step may admit, finish and settle the same sequence") {
    const auto answer = owner.must_apply(step(1, 1, 1, {1, 2, 3}, {1, 2}, {1}));
    CHECK(numbers(answer.released) == sequence_list{2});
    CHECK(answer.pending == 1);
  }
  SECTION("sequences need not be dense") {
    CHECK(numbers(owner.must_apply(step(1, 1, 1, {3, 10, 11, 12, 900}, {3, 10, 11, 900})).released) ==
          sequence_list{3, 10, 11});
  }
  SECTION("a window of one goes through one at a time") {
    CHECK(numbers(owner.must_apply(step(1, 1, 1, {1}, {1})).released) == sequence_list{1});
    for (std::uint64_t seq = 2; seq < 20; ++seq) {
      CHECK(owner.must_apply(step(1, 1, 2 * seq - 2, {seq})).released.empty());
      CHECK(numbers(owner.must_apply(step(1, 1, 2 * seq - 1, {}, {seq})).released) == sequence_list{seq});
    }
  }
  SECTION("sequences up to the greatest are as exact as small ones") {
    for (const std::uint64_t first : {99'999'999'999'998U, 100'000'000'000'000U, greatest - 4}) {
      CAPTURE(first);
      lane_owner other(make()->access(), 1);
      CHECK(
        other.must_apply(step(1, 1, 1, range(first, first + 4), {first + 2, first + 1, first + 3})).released.empty());
      CHECK(numbers(other.must_apply(step(1, 1, 2, {}, {first})).released) == range(first, first + 3));
      const auto answer = other.must_apply(step(1, 1, 3, {}, {}, {first + 4}));
      CHECK(answer.pending == 0);
    }
  }
  SECTION("there is no sequence 0 and none beyond the greatest, and none is admitted twice") {
    CHECK(owner.apply({step(1, 1, 1, {greatest + 1})}).error().code == errc::invalid);
    CHECK(owner.apply({step(1, 1, 1, {1}, {0})}).error().code == errc::invalid);
    CHECK(owner.apply({step(1, 1, 1, {2, 2})}).error().code == errc::invalid);
    auto more = step(1, 1, 1, {1, 2});
    more.reached = sequence{1};
    CHECK(owner.apply({more}).error().code == errc::invalid);
    CHECK(owner.must_apply(step(1, 1, 1, {1})).pending == 1);
  }
  SECTION("an empty lane is taken and goes on") {
    const auto answer = owner.must_apply(step(1, 1, 1, {}));
    CHECK(answer.released.empty());
    CHECK(answer.pending == 0);
    CHECK(numbers(owner.must_apply(step(1, 1, 2, {7}, {7})).released) == sequence_list{7});
  }
  SECTION("a lane that does not release keeps what it is told until it is settled") {
    auto first = step(1, 1, 1, range(1, 4), {1, 2, 4});
    first.releases = false;
    const auto answer = owner.must_apply(first);
    CHECK(answer.released.empty());
    CHECK(answer.pending == 4);
    CHECK(answer.ready == 3);
    auto second = step(1, 1, 2, {}, {}, {2, 4});
    second.releases = false;
    CHECK(owner.must_apply(second).pending == 2);
  }
  SECTION("with order by key sequences leave and come back in any order, and the greatest is remembered") {
    const auto by_key = [&](std::uint64_t at, std::vector<std::uint64_t> admitted, std::vector<std::uint64_t> ready,
                            std::vector<std::uint64_t> settled) {
      auto update = step(1, 1, at, std::move(admitted), std::move(ready), std::move(settled));
      update.releases = false;
      return owner.must_apply(update);
    };
    by_key(1, {3, 7, 9}, {7}, {});
    CHECK(by_key(2, {}, {}, {7, 9}) == core::lane_answer{true, {}, 1, 0});
    CHECK(by_key(3, {1, 7}, {1}, {}) == core::lane_answer{true, {}, 3, 1});
    lane_owner next(place->access(), 2);
    REQUIRE(next.found.lanes.size() == 1);
    CHECK(next.found.lanes.front().reached == sequence{9});
  }
  SECTION("a batch goes through a thousand lanes, each on its own") {
    lane_owner wide(make()->access(), 1, 1000);
    std::vector<core::lane_update> updates;
    for (std::uint32_t lane = 1; lane <= 1000; ++lane) updates.push_back(step(lane, 1, 1, range(1, 5), {1, 3}));
    const auto answers = must(wide.apply(updates));
    REQUIRE(answers.lanes.size() == 1000);
    for (const auto& one : answers.lanes) CHECK(one == core::lane_answer{true, {sequence{1}}, 4, 1});
  }
  SECTION("a step of many thousand sequences is one step") {
    constexpr std::uint64_t many = 20'000;
    auto ready = range(2, many);
    std::ranges::reverse(ready);
    CHECK(owner.must_apply(step(1, 1, 1, range(1, many), ready)).ready == many - 1);
    CHECK(numbers(owner.must_apply(step(1, 1, 2, {}, {1})).released) == range(1, many));
    owner.must_apply(step(1, 1, 3, range(many + 1, 2 * many)));
    CHECK(owner.must_apply(step(1, 1, 4, {}, {}, range(many + 1, 2 * many))).pending == 0);
  }
}

void check_fencing(const place_factory& make) {
  const auto place = make();
  SECTION("an earlier owner's updates are refused, and change nothing") {
    lane_owner old(place->access(), 1);
    old.must_apply(step(1, 1, 1, range(1, 3)));
    lane_owner now(place->access(), 2);
    CHECK(old.apply({step(1, 1, 2, {}, {1})}).error().code == errc::fenced);
    CHECK(old.apply({step(1, 2, 1, {5}, {5})}).error().code == errc::fenced);
    core::lane_updates results;
    results.results = {stored(key(9), "m9")};
    CHECK(old->apply(results).error().code == errc::fenced);
    CHECK(now.must_apply(step(1, 1, 1, range(1, 3), {1})).pending == 2);
    CHECK(must(now->load(std::vector{key(9)})).empty());
  }
  SECTION("an earlier epoch does not take it over") {
    lane_owner now(place->access(), 5);
    now.must_apply(step(1, 1, 1, {1}));
    CHECK(place->access()->open(epoch{4}, lanes(2)).error().code == errc::fenced);
    CHECK(numbers(now.must_apply(step(1, 1, 2, {}, {1})).released) == sequence_list{1});
  }
  SECTION("an owner whose journal has assigned less than a lane was told of takes nothing over") {
    lane_owner old(place->access(), 1);
    old.must_apply(step(1, 1, 1, range(1, 3)));
    auto known = lanes(1);
    known[0].assigned = sequence{2};
    for (int tries = 0; tries < 2; ++tries) {
      const auto refused = place->access()->open(epoch{2}, known);
      REQUIRE_FALSE(refused);
      CHECK(refused.error().code == errc::diverged);
      CHECK(refused.error().what.find("sequence 3") != std::string::npos);
    }
    CHECK(numbers(old.must_apply(step(1, 1, 2, {}, {1})).released) == sequence_list{1});
    known[0].assigned = sequence{3};
    CHECK(place->access()->open(epoch{2}, known));
  }
  SECTION("how far a lane was is not forgotten by what takes it anew, nor by an owner that has not come to it") {
    lane_owner old(place->access(), 1);
    old.must_apply(step(1, 1, 1, range(1, 3)));
    auto anew = step(1, 2, 1, {});
    SECTION("and is the most that was told") {}
    SECTION("or more, if more is assigned than is admitted") { anew.reached = sequence{9}; }
    const auto far = std::max<std::uint64_t>(3, anew.reached.value());
    old.must_apply(anew);
    auto known = lanes(1);
    for (std::uint64_t number = 2; number < 4; ++number) {
      known[0].assigned = sequence{far - 1};
      CHECK(place->access()->open(epoch{number}, known).error().code == errc::diverged);
      known[0].assigned = sequence{far};
      const auto found = must(place->access()->open(epoch{number}, known));
      CHECK(found.lanes == std::vector<core::lanes_found::lane>{{destination_id{1}, sequence{far}}});
      CHECK(must(place->access()->look(lanes(1))).lanes == found.lanes);
    }
  }
  SECTION("anybody may look at what is there, and changes nothing by it") {
    CHECK(must(place->access()->look(lanes(2))).owner == epoch{});
    lane_owner old(place->access(), 7);
    old.must_apply(step(2, 1, 1, range(1, 30)));
    core::lane_updates results;
    results.results = {stored(key(9), "m9"), stored(key(11), "m11")};
    must(old->apply(results));
    for (int tries = 0; tries < 2; ++tries) {
      const auto seen = must(place->access()->look(lanes(3)));
      CHECK(seen.owner == epoch{7});
      CHECK(seen.lanes == std::vector<core::lanes_found::lane>{{destination_id{2}, sequence{30}}});
      CHECK(seen.last == position{11});
    }
    CHECK(must(place->access()->look(lanes(1))).lanes.empty());
    CHECK(numbers(old.must_apply(step(2, 1, 2, {}, {1})).released) == sequence_list{1});
  }
  SECTION("after a takeover no lane goes on: each is taken anew") {
    lane_owner old(place->access(), 1);
    old.must_apply(step(1, 1, 1, range(1, 3)));
    lane_owner now(place->access(), 2);
    CHECK(disagrees(now.apply({step(1, 1, 2, {}, {1})})));
    CHECK(now.must_apply(step(1, 1, 1, {2, 3}, {2})).released == sequences({2}));
  }
  SECTION("an earlier version of a lane is refused, whatever its step") {
    lane_owner owner(place->access(), 1);
    owner.must_apply(step(1, 1, 1, range(1, 3)));
    owner.must_apply(step(1, 2, 1, range(1, 3)));
    CHECK(disagrees(owner.apply({step(1, 1, 2, {}, {1})})));
    CHECK(disagrees(owner.apply({step(1, 1, 1, {})})));
    CHECK(owner.must_apply(step(1, 2, 2, {}, {2})).ready == 1);
  }
  SECTION("a step that was left out, or comes late, is refused, and the lane waits for another version") {
    lane_owner owner(place->access(), 1);
    owner.must_apply(step(1, 1, 1, range(1, 3)));
    CHECK(disagrees(owner.apply({step(1, 1, 3, {}, {1})})));
    owner.must_apply(step(1, 1, 2, {4}));
    CHECK(disagrees(owner.apply({step(1, 1, 1, range(1, 3))})));
    CHECK(disagrees(owner.apply({step(1, 2, 2, {5})})));
    CHECK(numbers(owner.must_apply(step(1, 2, 1, {1, 2}, {1, 2})).released) == range(1, 2));
  }
  SECTION("versions need not be neighbours") {
    lane_owner owner(place->access(), 1);
    owner.must_apply(step(1, 7, 1, {1}));
    CHECK(owner.must_apply(step(1, 900, 1, {1, 2})).pending == 2);
  }
  SECTION("a lane that disagrees does not hold up the others of its batch") {
    lane_owner owner(place->access(), 1);
    owner.must_apply(step(1, 1, 1, {1}));
    owner.must_apply(step(2, 1, 1, {1}));
    const auto answers = must(owner.apply({step(1, 1, 5, {}, {1}), step(2, 1, 2, {}, {1})}));
    CHECK(answers.lanes[0] == core::lane_answer{});
    CHECK(answers.lanes[1] == core::lane_answer{true, {sequence{1}}, 0, 0});
  }
  SECTION("a lane that nobody opened, and one that is named twice, are refused as a whole") {
    lane_owner owner(place->access(), 1, 1);
    CHECK(owner.apply({step(1, 1, 1, {1}), step(2, 1, 1, {1})}).error().code == errc::invalid);
    CHECK(owner.apply({step(1, 1, 1, {1}), step(1, 1, 2, {2})}).error().code == errc::invalid);
    CHECK(owner.apply({step(1, 0, 1, {1})}).error().code == errc::invalid);
    CHECK(owner.apply({step(1, 1, 0, {1})}).error().code == errc::invalid);
    CHECK(owner.must_apply(step(1, 1, 1, {1})).pending == 1);
  }
}

void check_repetition(const place_factory& make) {
  const auto place = make();
  lane_owner owner(place->access(), 1);
  SECTION("updates that are said again change nothing more, and get the same answer") {
    core::lane_updates first;
    first.lanes = {step(1, 1, 1, range(1, 6), {1, 2, 4}, {5}), step(2, 1, 1, range(1, 2))};
    first.results = {stored(key(1), "m1"), stored(key(2), "m2")};
    const auto once = must(owner->apply(first));
    CHECK(must(owner->apply(first)) == once);
    core::lane_updates second;
    second.lanes = {step(1, 1, 2, {7}, {3}), step(2, 1, 2, {3}, {1, 3})};
    second.unneeded = {key(1)};
    const auto then = must(owner->apply(second));
    CHECK(numbers(then.lanes[0].released) == sequence_list{3, 4});
    CHECK(then.results == 1);
    for (int times = 0; times < 3; ++times) CHECK(must(owner->apply(second)) == then);
  }
  SECTION("one that was done in part is completed") {
    owner.must_apply(step(1, 1, 1, {1, 2}, {1}));
    const auto answers = must(owner.apply({step(1, 1, 1, {1, 2}, {1}), step(2, 1, 1, {1}, {1})}));
    CHECK(answers.lanes[0] == core::lane_answer{true, {sequence{1}}, 1, 0});
    CHECK(answers.lanes[1] == core::lane_answer{true, {sequence{1}}, 0, 0});
  }
  SECTION("a lane taken anew says again what it released") {
    owner.must_apply(step(1, 1, 1, range(1, 3)));
    const auto anew = owner.must_apply(step(1, 2, 1, range(2, 3), {2}));
    CHECK(numbers(anew.released) == sequence_list{2});
    CHECK(owner.must_apply(step(1, 2, 1, range(2, 3), {2})) == anew);
  }
}

void check_results(const place_factory& make) {
  const auto place = make();
  lane_owner owner(place->access(), 1);
  SECTION("a result comes back byte for byte") {
    const std::string bytes("\0\xff\r\n\n\"binary\"", 13);
    content body{bytes, "application/x; q=\"1\\n\"\n", {{"ce-type", "order: made\nnow\\"}, {"odd:name", ""}}};
    core::stored_result one{key(17, 3), "id with spaces: \"1\"", {}};
    one.done.body = std::make_shared<const content>(body);
    one.done.only_to = {destination_id{1}, destination_id{40}};
    core::stored_result empty = stored(key(18), "m18", "");
    core::stored_result nowhere = stored(key(20), "m20");
    nowhere.done.only_to.emplace();
    core::lane_updates updates;
    updates.results = {one, empty, {key(19), "m19", {}}, nowhere};
    CHECK(must(owner->apply(updates)).results == 4);

    const auto found = must(owner->load(std::vector{key(17, 3)}));
    REQUIRE(found.size() == 1);
    CHECK(found[0].key == one.key);
    CHECK(found[0].message_id == one.message_id);
    CHECK(*found[0].done.body == body);
    CHECK(found[0].done.only_to == one.done.only_to);
    CHECK(*must(owner->load(std::vector{key(18)}))[0].done.body == *empty.done.body);
    CHECK(must(owner->load(std::vector{key(19)}))[0].done.body == nullptr);
    const auto to_nobody = must(owner->load(std::vector{key(20)}))[0].done.only_to;
    REQUIRE(to_nobody);
    CHECK(to_nobody->empty());
  }
  SECTION("a result that several lanes share is kept once, and until it is said that nobody needs it") {
    core::lane_updates updates;
    updates.lanes = {step(1, 1, 1, {1}, {1}), step(2, 1, 1, {1}, {1})};
    updates.results = {stored(key(5), "m5")};
    CHECK(must(owner->apply(updates)).results == 1);
    updates = {};
    updates.results = {stored(key(6), "m6"), stored(key(6, 1), "m6")};
    CHECK(must(owner->apply(updates)).results == 3);
    updates = {};
    updates.unneeded = {key(5), key(6, 1), key(77)};
    CHECK(must(owner->apply(updates)).results == 1);
    CHECK(ids(must(owner->load(std::vector{key(5), key(6), key(6, 1), key(77)}))) == std::vector<std::string>{"m6"});
  }
  SECTION("one is replaced by a later one") {
    core::lane_updates updates;
    updates.results = {stored(key(5), "m5", "first")};
    must(owner->apply(updates));
    updates.results = {stored(key(5), "m5", "second")};
    CHECK(must(owner->apply(updates)).results == 1);
    CHECK(must(owner->load(std::vector{key(5)}))[0].done.body->payload == "second");
  }
  SECTION("all are forgotten before others are stored") {
    core::lane_updates updates;
    updates.results = {stored(key(1), "m1"), stored(key(2), "m2")};
    must(owner->apply(updates));
    updates.forget_results = true;
    updates.results = {stored(key(3), "m3")};
    CHECK(must(owner->apply(updates)).results == 1);
    CHECK(ids(must(owner->load(std::vector{key(1), key(2), key(3)}))) == std::vector<std::string>{"m3"});
  }
  SECTION("many, and large ones, in one batch") {
    core::lane_updates updates;
    std::vector<core::work_key> all;
    for (std::uint64_t at = 1; at <= 300; ++at) {
      updates.results.push_back(
        stored(key(at), "m" + std::to_string(at), std::string(at % 100 == 0 ? 3U << 20U : 9000, 'x')));
      all.push_back(key(at));
    }
    updates.lanes = {step(1, 1, 1, range(1, 300), range(1, 300))};
    const auto answers = must(owner->apply(updates));
    CHECK(answers.results == 300);
    CHECK(answers.lanes.at(0).released.size() == 300);
    CHECK(must(owner->load(all)).size() == 300);
  }
}

void check_takeover(const place_factory& make) {
  const auto place = make();
  SECTION("a place where nobody was is empty") {
    lane_owner owner(place->access(), 1);
    CHECK(owner.found.lanes.empty());
    CHECK(owner.found.results.empty());
  }
  SECTION("a new owner finds the results, and how far each lane had come; it starts with empty lanes") {
    lane_owner old(place->access(), 1, 3);
    core::lane_updates updates;
    updates.lanes = {step(1, 1, 1, range(4, 9), {4, 5}), step(3, 1, 1, {})};
    updates.results = {stored(key(30), "m30"), stored(key(4), "m4"), stored(key(4, 2), "m4")};
    must(old->apply(updates));
    old.must_apply(step(1, 1, 2, {}, {6}));

    lane_owner now(place->access(), 7, 3);
    CHECK(now.found.results == std::vector{key(4), key(4, 2), key(30)});
    CHECK(now.found.lanes ==
          std::vector<core::lanes_found::lane>{{destination_id{1}, sequence{9}}, {destination_id{3}, sequence{}}});
    CHECK(ids(must(now->load(std::vector{key(30), key(4, 2)}))) == std::vector<std::string>{"m30", "m4"});
    CHECK(now.must_apply(step(1, 1, 1, {7, 8, 9})).pending == 3);
    lane_owner next(place->access(), 8, 3);
    CHECK(next.found.lanes == now.found.lanes);
  }
  SECTION("a destination that is gone leaves nothing but how far it was") {
    lane_owner old(place->access(), 1, 2);
    old.must_apply(step(2, 1, 1, range(1, 9)));
    lane_owner between(place->access(), 2, 1);
    CHECK(between.found.lanes.empty());
    lane_owner now(place->access(), 3, 2);
    CHECK(now.found.lanes == std::vector<core::lanes_found::lane>{{destination_id{2}, sequence{9}}});
    CHECK(now.must_apply(step(2, 1, 1, {}, {1})).pending == 0);
  }
  SECTION("opening again under the same epoch begins anew") {
    const auto access = place->access();
    must(access->open(epoch{4}, lanes(1)));
    core::lane_updates updates;
    updates.lanes = {step(1, 1, 1, range(1, 3))};
    must(access->apply(updates));
    const auto found = must(access->open(epoch{4}, lanes(1)));
    CHECK(found.lanes == std::vector<core::lanes_found::lane>{{destination_id{1}, sequence{3}}});
    CHECK(must(access->apply(updates)).lanes[0] == core::lane_answer{true, {}, 3, 0});
  }
  SECTION("the lanes of other shards are others") {
    const auto elsewhere = make();
    lane_owner here(place->access(), 5);
    lane_owner there(elsewhere->access(), 1);
    here.must_apply(step(1, 1, 1, {1}));
    CHECK(there.must_apply(step(1, 1, 1, {2, 3})).pending == 2);
    CHECK(here.must_apply(step(1, 1, 2, {}, {1})).released == sequences({1}));
  }
}

} // namespace reseq::test

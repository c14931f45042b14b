#include "dispatch_table_fixture.hpp"

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

using namespace dispatch_example;

namespace {
using numbers = std::vector<std::uint64_t>;
}

TEST_CASE("the lowest position goes first, whatever the order of submission") {
  fixture f;
  for (auto at : {5U, 3U, 9U, 1U, 7U}) f.submit(at);
  f.join(3);
  CHECK(f.positions() == numbers{1, 3, 5});
  f.join(3);
  CHECK(f.positions() == numbers{7, 9});
}

TEST_CASE("heads go before all that are not, and become heads in time or later") {
  fixture f;
  for (auto at : {1U, 2U, 3U, 4U, 5U}) f.submit(at, at == 4);
  f.table.make_head(f.key(3), f.now);
  f.submit(2, true);
  f.join(10);
  CHECK(f.positions() == numbers{2, 3, 4, 1, 5});
}

TEST_CASE("pipelines take turns, and any pipeline's heads go before all that are not") {
  fixture f;
  const auto other = f.table.add_pipeline({});
  for (std::uint64_t at = 1; at <= 4; ++at) f.submit(at);
  for (std::uint64_t at = 101; at <= 104; ++at) f.table.submit({other, position{at}, common}, at == 104, f.now);
  f.table.join(10, {f.main, other});
  CHECK(f.positions() == numbers{104, 1, 101, 2, 102, 3, 103, 4});
}

TEST_CASE("pipelines also take turns when slots come one at a time") {
  fixture f;
  const auto other = f.table.add_pipeline({});
  for (std::uint64_t at = 1; at <= 100; ++at) {
    f.submit(at);
    f.table.submit({other, position{at}, common}, false, f.now);
  }
  f.table.join(1, {f.main, other});
  std::map<pipeline_index, int> turns;
  for (int i = 0; i < 20; ++i) {
    const auto d = f.only();
    ++turns[d.pipeline];
    f.answer(d, attempt_end::done);
  }
  CHECK(turns[f.main] == 10);
  CHECK(turns[other] == 10);
}

TEST_CASE("a worker never has more copies than slots") {
  fixture f;
  const auto worker = f.join(2);
  for (auto at : {1U, 2U, 3U}) f.submit(at);
  const auto first = f.table.assign(f.now);
  REQUIRE(first.size() == 2);
  CHECK(f.table.free_slots() == 0);
  CHECK(f.table.in_flight() == 2);
  CHECK(f.table.waiting() == 1);
  CHECK(f.table.assign(f.now).empty());

  CHECK(f.answer(first[0], attempt_end::done));
  CHECK(f.table.free_slots() == 1);
  const auto next = f.only();
  CHECK(next.worker == worker);
  CHECK(next.at == position{3});
}

TEST_CASE("a worker gets only what it offers, and what nobody offers blocks nobody") {
  fixture f;
  const auto other = f.table.add_pipeline({});
  const auto orphaned = f.table.add_pipeline({});
  f.table.submit({orphaned, position{1}, common}, true, f.now);
  f.table.submit({other, position{1}, common}, false, f.now);
  f.submit(1);
  const auto a = f.join(5);
  const auto b = f.table.join(5, {other, pipeline_index{77}, other});
  std::map<pipeline_index, worker_id> seen;
  for (const auto& d : f.table.assign(f.now)) seen[d.pipeline] = d.worker;
  CHECK(seen == std::map<pipeline_index, worker_id>{{f.main, a}, {other, b}});
  CHECK(f.table.waiting() == 1);

  const auto c = f.table.join(1, {orphaned});
  CHECK(f.only().worker == c);
}

TEST_CASE("a worker without slots gets nothing") {
  fixture f;
  f.join(0);
  f.submit(1);
  CHECK(f.table.assign(f.now).empty());
  CHECK(f.table.workers() == 1);
}

TEST_CASE("assign keeps to its limit") {
  fixture f;
  f.join(10);
  for (auto at : {1U, 2U, 3U}) f.submit(at);
  CHECK(f.positions(2) == numbers{1, 2});
  CHECK(f.positions(0).empty());
  CHECK(f.positions(2) == numbers{3});
}

TEST_CASE("of two workers the one with the smaller share of its slots taken wins") {
  fixture f;
  const auto small = f.join(10);
  const auto large = f.join(30);
  for (std::uint64_t at = 1; at <= 20; ++at) f.submit(at);
  std::map<worker_id, int> load;
  for (const auto& d : f.table.assign(f.now)) ++load[d.worker];
  CHECK(load[small] == 5);
  CHECK(load[large] == 15);
}

TEST_CASE("many equal workers are loaded about equally") {
  fixture f;
  std::map<worker_id, int> load;
  for (int i = 0; i < 50; ++i) load[f.join(100)] = 0;
  for (std::uint64_t at = 1; at <= 2500; ++at) f.submit(at);
  for (const auto& d : f.table.assign(f.now)) ++load[d.worker];
  for (const auto& [worker, copies] : load) {
    CAPTURE(worker.value());
    CHECK(copies >= 40);
    CHECK(copies <= 60);
  }
}

TEST_CASE("chains of a message that are due together travel in one copy, also with a head among them") {
  fixture f;
  for (auto chain : {7U, 0U, 3U}) f.table.submit(f.key(1, chain_index{chain}), chain == 3, f.now);
  f.submit(2);
  f.join(2);
  const auto all = f.table.assign(f.now);
  REQUIRE(all.size() == 2);
  CHECK(all[0].chains == std::vector<chain_index>{chain_index{0}, chain_index{3}, chain_index{7}});
  CHECK(all[1].at == position{2});
}

TEST_CASE("a copy's slot is free once each of its chains was answered, and each has its own outcome") {
  fixture f;
  f.join(1);
  const chain_index own{5};
  f.table.submit(f.key(1), false, f.now);
  f.table.submit(f.key(1, own), false, f.now);
  const auto d = f.only();
  CHECK(f.table.answer(d.worker, d.id, own, attempt_end::failed, "broken", f.now));
  CHECK(f.table.free_slots() == 0);
  CHECK(f.table.answer(d.worker, d.id, common, attempt_end::done, {}, f.now));
  CHECK(f.table.free_slots() == 1);
  CHECK_FALSE(f.table.inspect(f.key(1)).has_value());

  f.pass(0s);
  const auto again = f.only();
  CHECK(again.chains == std::vector<chain_index>{own});
  CHECK(again.number == attempt{2});
}

TEST_CASE("the first answer finishes a task and the same answer again is late") {
  fixture f;
  f.join(2);
  f.submit(1);
  f.submit(2);
  const auto d = f.table.assign(f.now).front();
  CHECK(f.answer(d, attempt_end::done));
  CHECK_FALSE(f.answer(d, attempt_end::done));
  CHECK(f.table.counters().done == 1);
  CHECK(f.table.counters().late == 1);
  CHECK(f.table.free_slots() == 1);
}

TEST_CASE("an answer that fits no copy changes nothing") {
  fixture f;
  f.join(1);
  const auto stranger = f.join(1);
  f.submit(1);
  const auto d = f.only();
  const auto wrong = d.worker == stranger ? worker_id{1} : stranger;
  CHECK(f.table.owed(d.worker, d.id, 0) == owed_work{f.main, common});
  CHECK_FALSE(f.table.owed(wrong, d.id, 0));
  CHECK_FALSE(f.table.owed(d.worker, d.id + 1, 0));
  CHECK_FALSE(f.table.owed(d.worker, d.id, 1));
  CHECK_FALSE(f.table.answer(wrong, d.id, common, attempt_end::done, {}, f.now));
  CHECK_FALSE(f.table.answer(d.worker, d.id + 1, common, attempt_end::done, {}, f.now));
  CHECK_FALSE(f.table.answer(d.worker, d.id, chain_index{9}, attempt_end::done, {}, f.now));
  CHECK(f.table.counters().late == 3);
  CHECK(f.table.in_flight() == 1);
  CHECK(f.answer(d, attempt_end::done));
}

TEST_CASE("what a task was submitted with last comes with its copies, its answer and its end") {
  fixture f;
  const auto worker = f.join(2);
  const auto first = std::make_shared<const message>("m", "", content{});
  const auto same = std::make_shared<const message>("m", "", content{});
  const chain_index own{4};
  f.table.submit(f.key(1), true, f.now, {first, asking{1}});
  f.table.submit(f.key(1, own), true, f.now, {same, asking{2}});
  f.table.submit(f.key(1), true, f.now, {same, asking{3}});
  const auto d = f.only();
  CHECK(d.message == same);
  const auto failed = f.table.answer(worker, d.id, own, attempt_end::permanent, "no", f.now);
  REQUIRE(failed);
  CHECK(failed->key == f.key(1, own));
  CHECK(failed->work.asked == asking{2});
  const auto lost = f.table.take_given_up();
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].work.asked == asking{2});
  CHECK(lost[0].work.message == same);
  const auto done = f.table.answer(worker, d.id, common, attempt_end::done, {}, f.now);
  REQUIRE(done);
  CHECK(done->key == f.key(1));
  CHECK(done->work.asked == asking{3});
  CHECK(done->work.message == same);
  CHECK(same.use_count() == 5); // of the test, the copy, and the three that came back: the table keeps none
}

TEST_CASE("a dead worker's tasks are due again at once, at their old rank, and that is no failed attempt") {
  fixture f;
  const auto worker = f.join(2);
  f.submit(1);
  f.submit(2, true);
  REQUIRE(f.table.assign(f.now).size() == 2);
  f.submit(3);
  f.table.leave(worker, departure::died, f.now);
  CHECK(f.table.counters().orphaned == 2);
  CHECK(f.table.workers() == 0);
  CHECK(f.table.free_slots() == 0);
  CHECK(f.table.in_flight() == 0);
  CHECK_FALSE(f.table.next_deadline().has_value());
  f.table.leave(worker, departure::died, f.now);

  f.join(3);
  const auto again = f.table.assign(f.now);
  REQUIRE(again.size() == 3);
  CHECK(again[0].at == position{2});
  CHECK(again[1].at == position{1});
  CHECK(again[0].number == attempt{1});
  CHECK(f.table.inspect(f.key(1))->attempts == 0);
  CHECK(f.table.inspect(f.key(1))->history.front().outcome == "worker died");
}

TEST_CASE("a dead worker's chains that were answered already do not come back") {
  fixture f;
  const auto worker = f.join(1);
  f.table.submit(f.key(1), false, f.now);
  f.table.submit(f.key(1, chain_index{4}), false, f.now);
  const auto d = f.only();
  CHECK(f.table.answer(worker, d.id, common, attempt_end::done, {}, f.now));
  f.table.leave(worker, departure::died, f.now);
  f.join(1);
  CHECK(f.only().chains == std::vector<chain_index>{chain_index{4}});
}

TEST_CASE("what is withdrawn is not dispatched, and its copy keeps the slot until it is answered") {
  fixture f;
  f.join(1);
  f.submit(1);
  f.submit(2);
  const auto d = f.only();
  f.table.withdraw(f.key(1), f.now);
  f.table.withdraw(f.key(2), f.now);
  f.table.withdraw(f.key(99), f.now);
  CHECK(f.table.waiting() == 0);
  CHECK(f.table.in_flight() == 1);
  CHECK_FALSE(f.answer(d, attempt_end::done));
  CHECK_FALSE(f.table.next_deadline().has_value());
  CHECK(f.table.free_slots() == 1);
  CHECK(f.table.assign(f.now).empty());
}

TEST_CASE("an old copy's answer does not count for a task that was withdrawn and wanted again") {
  fixture f;
  f.join(2);
  f.submit(1);
  const auto old = f.only();
  f.table.withdraw(f.key(1), f.now);
  f.submit(1);
  const auto current = f.only();
  CHECK_FALSE(f.answer(old, attempt_end::done));
  CHECK(f.table.inspect(f.key(1)).has_value());
  CHECK(f.answer(current, attempt_end::done));
}

TEST_CASE("of a task is known how many workers may get it, and how many of their slots hang") {
  fixture f;
  const auto other = f.table.add_pipeline(fixture::prompt());
  f.submit(1);
  const auto strength = [&] { return f.table.inspect(f.key(1))->workers; };
  CHECK(strength().workers == 0);
  f.table.join(7, {other});
  CHECK(strength().workers == 0);
  const auto worker = f.join(2);
  f.only();
  CHECK(strength().workers == 1);
  CHECK(strength().slots == 2);
  CHECK(strength().hanging == 0);
  f.pass(fixture::prompt().timeout);
  CHECK(strength().hanging == 1);
  f.table.retire(worker);
  CHECK(strength().workers == 0);
}

TEST_CASE("a task that has failed for good says so until it is a head") {
  fixture f;
  f.join(1);
  f.submit(1);
  const auto d = f.only();
  CHECK_FALSE(f.table.inspect(f.key(1))->spent);
  REQUIRE(f.answer(d, attempt_end::permanent, "no such order"));
  CHECK(f.table.inspect(f.key(1))->spent);
}

TEST_CASE("unknown keys and pipelines change nothing") {
  fixture f;
  f.join(1);
  f.table.make_head(f.key(1), f.now);
  f.table.submit({pipeline_index{9}, position{1}, common}, true, f.now);
  CHECK(f.table.waiting() == 0);
  CHECK(f.table.assign(f.now).empty());
  CHECK_FALSE(f.table.inspect(f.key(1)).has_value());
}

TEST_CASE("the same seed and the same calls dispatch the same") {
  const auto run = [] {
    fixture f{retry_settings{}};
    std::vector<std::pair<dispatch_id, worker_id>> out;
    for (int i = 0; i < 5; ++i) f.join(20);
    for (std::uint64_t at = 1; at <= 60; ++at) f.submit(at);
    for (int round = 0; round < 10; ++round, f.pass(700ms))
      for (const auto& d : f.table.assign(f.now)) out.emplace_back(d.id, d.worker);
    return out;
  };
  CHECK(run() == run());
}

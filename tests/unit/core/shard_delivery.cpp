#include "catch.hpp"
#include "shard_fixture.hpp"

using namespace reseq;
using namespace reseq::core;
using namespace reseq::core::test;
using namespace std::chrono_literals;

TEST_CASE("an accepted message is worked out, sent, saved and forgotten") {
  shard_fixture f({setup(1)});
  f.accept({1});
  REQUIRE(f.asked() == numbers{1});
  CHECK(f.todo.work[0].head);
  CHECK(f.find(1) == "pending");
  f.work(1);
  REQUIRE(f.sent() == numbers{1});
  const auto& item = f.todo.sends[0].items[0];
  CHECK(item.previous == sequence{0});
  CHECK(item.attempt == 1);
  CHECK(item.body->payload == "result");
  CHECK(f.find(1) == "sent");
  CHECK_FALSE(f.todo.save);
  f.answer(f.todo.sends[0], confirmed{});
  REQUIRE(f.todo.save);
  CHECK(f.todo.save->progress[0].watermark == sequence{1});
  CHECK(f.todo.save->progress[0].last_delivered == sequence{1});
  CHECK(f.status().settled == sequence{0});
  f.save();
  CHECK(f.status().settled == sequence{1});
  CHECK(f.tested.messages_in_memory() == 0);
  CHECK(f.tested.bytes_in_memory() == 0);
}

TEST_CASE("results in any order are released in sequence, as far as they are contiguous") {
  shard_fixture f({setup(1)});
  for (int i = 0; i < 3; ++i) f.accept({1});
  f.work(3);
  f.work(2);
  CHECK(f.todo.sends.empty());
  CHECK(f.tested.counters().out_of_order == 2);
  f.work(1);
  CHECK(f.sent() == numbers{1, 2, 3});
  CHECK(f.todo.sends[0].items[2].previous == sequence{2});
}

TEST_CASE("what became ready while a request was under way makes the next batch") {
  shard_fixture f({setup(1)});
  for (int i = 0; i < 3; ++i) f.accept({1});
  f.work(1);
  const auto first = f.todo.sends[0];
  f.work(2);
  f.work(3);
  CHECK(f.todo.sends.empty());
  f.answer(first, confirmed{});
  CHECK(f.sent() == numbers{2, 3});
  CHECK(f.todo.sends[0].items[0].previous == sequence{1});
}

TEST_CASE("results that come together are sent together") {
  shard_fixture f({setup(1)});
  for (int i = 0; i < 3; ++i) f.accept({1});
  f.tested.worked({{position{2}, chain_index{0}, {body(), {}}, f.asked(2)},
                   {position{1}, chain_index{0}, {body(), {}}, f.asked(1)},
                   {position{3}, chain_index{0}, {body(), {}}, f.asked(3)}},
                  t0);
  f.take();
  REQUIRE(f.todo.sends.size() == 1);
  CHECK(f.sent() == numbers{1, 2, 3});
}

TEST_CASE("a dropped message holds back what follows until that is durable, and is no one's previous") {
  shard_fixture f({setup(1)});
  for (int i = 0; i < 3; ++i) f.accept({1});
  f.work(1);
  f.answer(f.todo.sends[0], confirmed{});
  f.save();
  f.work(2, nullptr);
  REQUIRE(f.todo.save);
  f.work(3);
  CHECK(f.todo.sends.empty());
  CHECK(f.phase() == "saving");
  f.save();
  REQUIRE(f.sent() == numbers{3});
  CHECK(f.todo.sends[0].items[0].previous == sequence{1});
  CHECK(f.tested.counters().dropped == 1);
}

TEST_CASE("a head that may not be sent before others are saved waits for that, not for its receiver") {
  auto d = setup(1);
  d.settings.order = GENERATE(delivery_order::total, delivery_order::key);
  d.settings.batch = 1;
  d.settings.max_unsaved = 1;
  shard_fixture f({d});
  for (int i = 0; i < 2; ++i) f.accept({1});
  f.work(1);
  f.work(2);
  CHECK(f.phase() == "delivery");
  f.tested.answered(d.id, f.todo.sends.empty() ? request_id{1} : f.todo.sends[0].id, confirmed{}, t0, f.wall);
  f.take();
  REQUIRE(f.todo.save);
  CHECK(f.todo.sends.empty());
  CHECK(f.phase() == "saving");
  f.save();
  REQUIRE(f.sent() == numbers{2});
  CHECK(f.phase() == "delivery");
}

TEST_CASE("narrowing is an outcome without a delivery for those left out") {
  shard_fixture f({setup(1), setup(2)});
  f.accept({1, 2});
  f.tested.worked({{position{1}, chain_index{0}, {body(), std::vector{destination_id{2}}}, f.asked(1)}}, t0);
  f.take();
  REQUIRE(f.todo.sends.size() == 1);
  CHECK(f.todo.sends[0].destination == destination_id{2});
  CHECK(f.find(1, 1) == "settled");
}

TEST_CASE("destinations without transforms of their own share the work, the others ask for theirs") {
  auto own = setup(3);
  own.own_chain = true;
  shard_fixture f({setup(1), setup(2), own});
  f.accept({1, 2, 3});
  REQUIRE(f.todo.work.size() == 2);
  CHECK(f.todo.work[0].chain == chain_index{0});
  CHECK(f.todo.work[1].chain == chain_index{3});
  f.work(1);
  REQUIRE(f.todo.sends.size() == 2);
  CHECK(f.todo.sends[0].items[0].body == f.todo.sends[1].items[0].body);
  f.work(1, body("own"), 3);
  REQUIRE(f.todo.sends.size() == 1);
  CHECK(f.todo.sends[0].items[0].body->payload == "own");
}

TEST_CASE("a slow destination does not hold up another") {
  shard_fixture f({setup(1), setup(2)});
  f.accept({1});
  f.accept({2});
  f.work(2);
  REQUIRE(f.todo.sends.size() == 1);
  CHECK(f.todo.sends[0].destination == destination_id{2});
}

TEST_CASE("the dispatcher is told of the message that a lane waits for next") {
  shard_fixture f({setup(1)});
  f.accept({1});
  f.accept({1});
  CHECK_FALSE(f.todo.work[0].head);
  f.work(1);
  CHECK(f.todo.heads.empty());
  f.answer(f.todo.sends[0], confirmed{});
  REQUIRE(f.todo.heads.size() == 1);
  CHECK(f.todo.heads[0].at == position{2});
}

TEST_CASE("the dispatcher is told once of a head that keeps back what is ready, whichever came first") {
  auto one = setup(1);
  one.settings.order = GENERATE(delivery_order::total, delivery_order::key);
  shard_fixture f({one});
  for (int i = 0; i < 4; ++i) f.accept({1});
  CHECK(f.todo.holding.empty());
  f.work(2);
  REQUIRE(f.todo.holding.size() == 1);
  CHECK(f.todo.holding[0].at == position{1});
  f.work(4);
  CHECK(f.todo.holding.empty());
  f.work(1);
  CHECK(f.todo.holding.empty()); // 2 is sent after it
  f.answer(f.todo.sends[0], confirmed{});
  auto holding = f.todo.holding;
  while (!f.todo.sends.empty()) {
    f.answer(f.todo.sends[0], confirmed{});
    holding.insert(holding.end(), f.todo.holding.begin(), f.todo.holding.end());
  }
  REQUIRE(f.todo.heads.size() == 1);
  CHECK(f.todo.heads[0].at == position{3});
  REQUIRE(holding.size() == 1);
  CHECK(holding[0].at == position{3});
}

TEST_CASE("the dispatcher is told again of a head that was held and is worked on again") {
  auto one = setup(1);
  one.settings.order = GENERATE(delivery_order::total, delivery_order::key);
  shard_fixture f({one});
  for (int i = 0; i < 2; ++i) f.accept({1});
  f.work(2);
  REQUIRE(f.todo.holding.size() == 1);
  f.give_up_at(1);
  f.save();
  f.tested.retry(1, destination_id{1}, sequence{1}, t0, f.wall);
  f.take();
  REQUIRE(f.asked() == numbers{1});
  REQUIRE(f.todo.holding.size() == 1);
  CHECK(f.todo.holding[0].at == position{1});
}

TEST_CASE("a head that keeps nothing back, or is ready itself, is not said to") {
  shard_fixture f({setup(1), setup(2)});
  f.accept({1});
  f.accept({2});
  f.accept({2});
  f.work(2);
  CHECK(f.todo.holding.empty());
  f.work(3);
  CHECK(f.todo.holding.empty());
}

TEST_CASE("at most max_unsaved are sent ahead of saved progress, and the rest when it is saved") {
  auto d = setup(1);
  d.settings.max_unsaved = 2;
  shard_fixture f({d});
  for (int i = 0; i < 3; ++i) f.accept({1});
  for (std::uint64_t at = 3; at >= 1; --at) f.work(at);
  REQUIRE(f.sent() == numbers{1, 2});
  f.answer(f.todo.sends[0], confirmed{});
  CHECK(f.todo.sends.empty());
  f.save();
  CHECK(f.sent() == numbers{3});
}

TEST_CASE("a failing receiver gets the same messages again after a backoff, with the next attempt number") {
  shard_fixture f({setup(1)});
  f.accept({1});
  f.work(1);
  f.accept({1});
  f.work(2);
  const auto idle = f.todo;
  CHECK(idle.sends.empty());
  f.tested.answered(destination_id{1}, request_id{1}, failing{"503", {}}, t0, f.wall);
  f.take();
  CHECK(f.todo.sends.empty());
  CHECK(f.status().state == lane_state::failing);
  CHECK(f.tested.is_failing(destination_id{1}));
  CHECK(f.status().head->last_error == "503");
  REQUIRE(f.tested.wakeup());
  f.tick(*f.tested.wakeup() - 1ns);
  CHECK(f.todo.sends.empty());
  f.tick(*f.tested.wakeup());
  REQUIRE(f.sent() == numbers{1});
  CHECK(f.todo.sends[0].items[0].attempt == 2);
  CHECK(f.status().redelivered == 1);
  CHECK_FALSE(f.tested.wakeup());
  f.answer(f.todo.sends[0], confirmed{});
  CHECK(f.status().state == lane_state::running);
  CHECK_FALSE(f.tested.is_failing(destination_id{1}));
  CHECK(f.tested.name(destination_id{1}) == f.status().name);
  CHECK(f.tested.name(destination_id{9}) == "?");
  CHECK_FALSE(f.tested.is_failing(destination_id{9}));
}

TEST_CASE("a receiver that has seen a later epoch makes the shard ask the journal") {
  shard_fixture f({setup(1)});
  f.accept({1});
  f.work(1);
  SECTION("later") {
    f.answer(f.todo.sends[0], stale{epoch{4}});
    CHECK(f.todo.check_epoch);
  }
  SECTION("ours") {
    f.answer(f.todo.sends[0], stale{epoch{3}});
    CHECK_FALSE(f.todo.check_epoch);
  }
  CHECK(f.status().state == lane_state::failing);
}

TEST_CASE("late and unknown answers are counted and change nothing") {
  shard_fixture f({setup(1)});
  f.accept({1});
  f.work(1);
  const auto request = f.todo.sends[0];
  f.work(1, body("second"));
  f.give_up_at(1);
  f.work(99);
  f.answer(request, confirmed{});
  f.answer(request, confirmed{});
  f.tested.answered(destination_id{9}, request_id{1}, confirmed{}, t0, f.wall);
  CHECK(f.tested.counters().late_answers == 5);
  CHECK(f.status().delivered == 1);
}

TEST_CASE("saves go one at a time and carry what came together meanwhile") {
  shard_fixture f({setup(1), setup(2)});
  f.accept({1, 2});
  f.work(1);
  const auto sends = f.todo.sends;
  f.answer(sends[0], confirmed{});
  CHECK(f.todo.save);
  f.answer(sends[1], confirmed{});
  CHECK_FALSE(f.todo.save);
  f.save();
  REQUIRE(f.todo.save);
  CHECK(f.todo.save->progress[0].destination == destination_id{2});
}

TEST_CASE("a save that failed is asked again after a backoff, with what came since") {
  shard_fixture f({setup(1), setup(2)});
  f.accept({1, 2});
  f.work(1);
  const auto sends = f.todo.sends;
  f.answer(sends[0], confirmed{});
  f.tested.save_failed(t0);
  f.answer(sends[1], confirmed{});
  CHECK_FALSE(f.todo.save);
  CHECK(f.tested.wakeup() == after(100));
  f.tick(after(100));
  REQUIRE(f.todo.save);
  CHECK(f.todo.save->progress.size() == 2);
  f.tested.save_failed(after(100));
  CHECK(f.tested.wakeup() == after(300));
}

TEST_CASE("release overhead is measured once a message, against the latest finish before it") {
  shard_fixture f({setup(1)});
  for (int i = 0; i < 2; ++i) f.accept({1});
  f.work(2, body(), 0, after(10));
  f.work(1, body(), 0, after(30));
  CHECK(f.todo.release_overheads == std::vector<duration>{0ns, 0ns});
  const auto request = f.todo.sends[0];
  f.answer(request, failing{"503", {}}, after(31));
  f.tick(after(500));
  CHECK(f.sent() == numbers{1, 2});
  CHECK(f.todo.release_overheads.empty());
}

TEST_CASE("draining sends nothing new and ends when all that is settled is saved") {
  shard_fixture f({setup(1)});
  f.accept({1});
  f.work(1);
  const auto request = f.todo.sends[0];
  f.accept({1});
  f.tested.drain();
  f.work(2);
  CHECK_FALSE(f.tested.drained());
  f.answer(request, confirmed{});
  CHECK(f.todo.sends.empty());
  CHECK_FALSE(f.tested.drained());
  f.save();
  CHECK(f.tested.drained());
}
